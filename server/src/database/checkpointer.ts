import { Worker } from "node:worker_threads";

/**
 * Copies the write-ahead log into the database file on a thread of its own, in four steps that each end synced:
 * `anchor`, then `copy` while writes go on, then `copyRest` and `startOver` while they are held back.
 */
export interface Checkpointer {
  /** Fixes what `copy` may copy: the commits of now. They must be synced before it is called. */
  anchor(): Promise<void>;
  copy(): Promise<void>;
  /** Copies the rest. False when somebody reads the log, so that it cannot start over now. */
  copyRest(): Promise<boolean>;
  /** Begins the log anew, by a write of its own. */
  startOver(): Promise<void>;
  /** A consistent copy of the database into a new file, synced. */
  backup(target: string): Promise<void>;
  close(): Promise<void>;
}

export type CheckpointCommand =
  | { readonly verb: "anchor" | "copy" | "copyRest" | "startOver" | "close" }
  | { readonly verb: "backup"; readonly target: string };

/** What of an error of SQLite or of the file system tells its kind. */
export interface CheckpointFailure {
  readonly message: string;
  readonly errcode: number | undefined;
  readonly code: string | undefined;
}

export interface CheckpointAnswer {
  readonly error: CheckpointFailure | null;
  /** For `copyRest`. */
  readonly isWhole: boolean;
}

/** The thread starts with the first command: an idle server does not pay for it. */
export function createCheckpointer(path: string): Checkpointer {
  let worker: Worker | undefined;
  let tail: Promise<unknown> = Promise.resolve();
  let isClosed = false;

  function send(command: CheckpointCommand): Promise<CheckpointAnswer> {
    const answered = tail.then(() => ask(command));
    tail = answered.catch(() => {});
    return answered;
  }

  function ask(command: CheckpointCommand): Promise<CheckpointAnswer> {
    worker ??= startWorker(path);
    const thread = worker;
    return new Promise((resolve, reject) => {
      const settle = (answer: CheckpointAnswer): void => {
        thread.off("message", settle);
        thread.off("error", onError);
        thread.off("exit", onExit);
        thread.unref();
        if (answer.error === null) resolve(answer);
        else reject(Object.assign(new Error(answer.error.message), answer.error));
      };
      const onError = ({ message }: Error): void => {
        worker = undefined;
        settle({ error: { message, errcode: undefined, code: undefined }, isWhole: false });
      };
      const onExit = (): void => onError(new Error("The checkpoint thread ended unexpectedly."));
      thread.on("message", settle);
      thread.on("error", onError);
      thread.on("exit", onExit);
      thread.ref();
      thread.postMessage(command);
    });
  }

  return {
    anchor: async () => void (await send({ verb: "anchor" })),
    copy: async () => void (await send({ verb: "copy" })),
    copyRest: async () => (await send({ verb: "copyRest" })).isWhole,
    startOver: async () => void (await send({ verb: "startOver" })),
    backup: async (target) => void (await send({ verb: "backup", target })),
    async close() {
      if (isClosed) return;
      isClosed = true;
      await tail;
      if (worker === undefined) return;
      await send({ verb: "close" });
      await worker.terminate();
    },
  };
}

function startWorker(path: string): Worker {
  // Runs as TypeScript from the source tree and as JavaScript once built.
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return new Worker(new URL(`./checkpoint-worker.${extension}`, import.meta.url), {
    workerData: { path },
    execArgv: ["--disable-warning=ExperimentalWarning"],
    // It runs a few statements; the pages are SQLite's own memory.
    resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 },
  });
}
