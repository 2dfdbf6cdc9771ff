import { Worker } from "node:worker_threads";

/** Copies the write-ahead log into the database file on a thread of its own. One command at a time. */
export interface Checkpointer {
  /** Copies what is committed; writes may go on. */
  copy(): Promise<void>;
  /** Copies the rest and starts the log over. The caller writes nothing until it resolves. */
  startOver(): Promise<void>;
  /** A consistent copy of the database into a new file, synced. */
  backup(target: string): Promise<void>;
  close(): Promise<void>;
}

export type CheckpointCommand =
  | { readonly verb: "copy" }
  | { readonly verb: "startOver" }
  | { readonly verb: "backup"; readonly target: string }
  | { readonly verb: "close" };

export interface CheckpointAnswer {
  readonly error: Error | null;
}

/** The thread starts with the first command: an idle server does not pay for it. */
export function createCheckpointer(path: string): Checkpointer {
  let worker: Worker | undefined;
  let tail: Promise<unknown> = Promise.resolve();
  let isClosed = false;

  function send(command: CheckpointCommand): Promise<void> {
    const answered = tail.then(() => ask(command));
    tail = answered.catch(() => {});
    return answered;
  }

  function ask(command: CheckpointCommand): Promise<void> {
    worker ??= startWorker(path);
    const thread = worker;
    return new Promise((resolve, reject) => {
      const settle = (error: Error | null): void => {
        thread.off("message", onMessage);
        thread.off("error", settle);
        thread.off("exit", onExit);
        thread.unref();
        if (error === null) resolve();
        else reject(error);
      };
      const onMessage = (answer: CheckpointAnswer): void => settle(answer.error);
      const onExit = (): void => {
        worker = undefined;
        settle(new Error("The checkpoint thread ended unexpectedly."));
      };
      thread.on("message", onMessage);
      thread.on("error", settle);
      thread.on("exit", onExit);
      thread.ref();
      thread.postMessage(command);
    });
  }

  return {
    copy: () => send({ verb: "copy" }),
    startOver: () => send({ verb: "startOver" }),
    backup: (target) => send({ verb: "backup", target }),
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
