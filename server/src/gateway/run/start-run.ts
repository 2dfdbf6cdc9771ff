import { createFlatError } from "@sluice/protocol";
import type { NewRequest, RequestResult } from "../../queue/request-queue.ts";
import type { GatewayContext } from "../context.ts";

/** A direct run in progress. */
export interface Run {
  readonly requestId: NewRequest["id"];
  /** How it ended; never rejects. */
  readonly result: Promise<RequestResult>;
  abort(reason: Error): void;
}

/**
 * Starts a direct run. When the caller set a deadline for its start and no worker has begun by then, it ends with 504
 * `startup_timeout` and the header that keeps clients from trying again.
 */
export function startRun(
  context: Pick<GatewayContext, "directRun" | "clock" | "logger">,
  request: NewRequest,
): Run {
  const { directRun, clock, logger } = context;
  const stop = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const result: Promise<RequestResult> = new Promise((resolve) => {
    const { startDeadlineAt } = request;
    if (startDeadlineAt !== undefined)
      timer = setTimeout(
        () => {
          stop.abort(new Error("The request did not start in time."));
          resolve(createPlatformResult(504, "startup_timeout", { "x-fal-request-timeout-type": "user" }));
        },
        // The runner knows the deadline too and gives the better answer; this one is for when it is silent.
        Math.min(Math.max(startDeadlineAt - clock.now(), 0) + GRACE_MS, MAX_TIMER_MS),
      );
    directRun
      .run(request, { signal: stop.signal, onStart: () => clearTimeout(timer) })
      .then(resolve, (error) => {
        logger.error({ err: error, requestId: request.id }, "a direct run failed unexpectedly");
        resolve(createPlatformResult(500, "internal_error", {}));
      });
  });
  void result.then(() => clearTimeout(timer));
  return { requestId: request.id, result, abort: (reason) => stop.abort(reason) };
}

const GRACE_MS = 100;
const MAX_TIMER_MS = 2 ** 31 - 1;

function createPlatformResult(
  statusCode: number,
  type: "internal_error" | "startup_timeout",
  headers: Readonly<Record<string, string>>,
): RequestResult {
  const body = createFlatError(type);
  return {
    state: "failed",
    statusCode,
    headers: { "content-type": "application/json", "x-fal-error-type": type, ...headers },
    body: Buffer.from(JSON.stringify(body)),
    error: body.detail,
    errorType: type,
    billableUnits: 0,
    inferenceSeconds: null,
    fileIds: [],
  };
}
