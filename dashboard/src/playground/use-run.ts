import { useCallback, useEffect, useReducer, useRef } from "react";
import { CallError, call, describeError, type Problem } from "../api/call.ts";
import { type LogLine, type Shown, type Submitted, watchRequest } from "../api/watch-request.ts";

/** One run of the playground, from the click to its result. */
export interface Run {
  readonly phase: "idle" | "sending" | "queued" | "running" | "done" | "failed" | "cancelled";
  readonly request?: Submitted;
  readonly position?: number;
  readonly logs: readonly LogLine[];
  readonly progress?: Extract<Shown, { type: "progress" }>;
  readonly previews: Readonly<Record<number, Extract<Shown, { type: "preview" }>>>;
  readonly output?: unknown;
  readonly message?: string;
  readonly problems: readonly Problem[];
  readonly isLost: boolean;
  readonly startedAt: number;
  readonly endedAt?: number;
  readonly inferenceSeconds?: number;
}

const IDLE: Run = { phase: "idle", logs: [], previews: {}, problems: [], isLost: false, startedAt: 0 };

export interface Runner {
  readonly run: Run;
  readonly isBusy: boolean;
  start(input: Readonly<Record<string, unknown>>): void;
  cancel(): void;
}

/** Submits to the queue, follows the request and reads its result. Leaving the page leaves the request running. */
export function useRun(endpointId: string): Runner {
  const [run, change] = useReducer(
    (run: Run, next: Partial<Run> | "reset"): Run => (next === "reset" ? IDLE : { ...run, ...next }),
    IDLE,
  );
  const stop = useRef<AbortController>(undefined);
  const previews = useRef<Run["previews"]>({});
  useEffect(() => () => stop.current?.abort(), []);

  const follow = useCallback(
    async (input: Readonly<Record<string, unknown>>, signal: AbortSignal) => {
      try {
        const request = readSubmitted(await call(`/queue/${endpointId}`, { json: input, signal }));
        change({ request, phase: "queued" });
        await watchRequest(
          request,
          {
            onStatus(status, logs) {
              change({
                logs: [...logs],
                ...(status.status === "IN_QUEUE"
                  ? { phase: "queued", position: status.queue_position ?? 0 }
                  : status.status === "IN_PROGRESS"
                    ? { phase: "running" }
                    : {}),
                ...(typeof status.metrics?.inference_time === "number"
                  ? { inferenceSeconds: status.metrics.inference_time }
                  : {}),
              });
            },
            onShown(shown) {
              if (shown.type === "progress") return change({ progress: shown });
              previews.current = { ...previews.current, [shown.image]: shown };
              change({ previews: previews.current });
            },
            onLost: (isLost) => change({ isLost }),
          },
          signal,
        );
        const output = await call<unknown>(request.responsePath, { signal });
        change({ phase: "done", output, endedAt: Date.now() });
      } catch (error) {
        if (signal.aborted) return;
        const isCancelled = error instanceof CallError && error.status === 499;
        change({
          phase: isCancelled ? "cancelled" : "failed",
          message: isCancelled ? "Cancelled." : describeError(error),
          problems: error instanceof CallError ? error.problems : [],
          endedAt: Date.now(),
        });
      }
    },
    [endpointId],
  );

  const start = useCallback(
    (input: Readonly<Record<string, unknown>>) => {
      stop.current?.abort();
      const controller = new AbortController();
      stop.current = controller;
      previews.current = {};
      change("reset");
      change({ phase: "sending", startedAt: Date.now() });
      void follow(input, controller.signal);
    },
    [follow],
  );

  const { request } = run;
  const cancel = useCallback(() => {
    if (request === undefined) {
      stop.current?.abort();
      change({ phase: "cancelled", message: "Cancelled before it was sent." });
      return;
    }
    // 400: it was completed in the meantime, and its result is on its way.
    call(request.cancelPath, { method: "PUT" }).catch(() => {});
  }, [request]);

  const isBusy = run.phase === "sending" || run.phase === "queued" || run.phase === "running";
  return { run, isBusy, start, cancel };
}

function readSubmitted(answer: {
  readonly request_id: string;
  readonly status_url: string;
  readonly response_url: string;
  readonly cancel_url: string;
}): Submitted {
  // Paths: behind a public name the page may have been opened by another.
  return {
    requestId: answer.request_id,
    statusPath: new URL(answer.status_url).pathname,
    responsePath: new URL(answer.response_url).pathname,
    cancelPath: new URL(answer.cancel_url).pathname,
  };
}
