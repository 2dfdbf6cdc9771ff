import { openScope } from "./abort.ts";
import { ConnectionError } from "./api-error.ts";
import type { RequiredConfig } from "./config.ts";
import {
  cancelQuietly,
  describeTimeout,
  getResult,
  type QueueModeOptions,
  type SubmitOptions,
  submit,
} from "./queue-client.ts";
import type { QueueStatus } from "./queue-status.ts";
import type { Result } from "./read-response.ts";
import { watchRequest } from "./watch-request.ts";

export type QueueSubscribeOptions = QueueModeOptions & {
  /** Called with the request id before the wait begins. */
  onEnqueue?: ((requestId: string) => void) | undefined;
  onQueueUpdate?: ((status: QueueStatus) => void) | undefined;
  /** Log lines in the updates; false by default. */
  logs?: boolean | undefined;
  /** Milliseconds for the whole call; when they have passed the request is cancelled on the server. */
  timeout?: number | undefined;
  /** Waits for this request, submitted earlier, instead of submitting a new one. */
  requestId?: string | undefined;
} & Omit<SubmitOptions<never>, "input" | "timeout">;

/**
 * Submits a request, waits for its end and returns its output. A lost connection or a restart of the server only
 * prolongs the wait. Abort and timeout cancel the request on the server.
 */
export async function subscribe<Input, Output>(
  config: RequiredConfig,
  id: string,
  options: Omit<SubmitOptions<Input>, "timeout"> &
    QueueSubscribeOptions & { readonly path?: string | undefined },
): Promise<Result<Output>> {
  const scope = openScope(options.abortSignal, options.timeout, describeTimeout(options.timeout));
  const { signal } = scope;
  let { requestId } = options;
  let isWaiting = true;
  try {
    if (requestId === undefined) {
      const status = await submit<Input>(config, id, { ...options, abortSignal: signal, timeout: undefined });
      requestId = status.request_id;
    }
    options.onEnqueue?.(requestId);
    await watchRequest(config, id, { ...options, requestId }, signal);
    isWaiting = false;
    const result = await getResult<Output>(config, id, { requestId, abortSignal: signal });
    return { data: result.data, requestId: result.requestId || requestId };
  } catch (error) {
    if (signal.aborted && isWaiting && requestId !== undefined) cancelQuietly(config, id, requestId);
    if (error instanceof ConnectionError && requestId !== undefined) error.requestId = requestId;
    throw error;
  } finally {
    scope.close();
  }
}
