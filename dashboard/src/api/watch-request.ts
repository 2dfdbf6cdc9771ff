import { CallError } from "./call.ts";
import { type LogLine, type WatchedEvent, watchEvents } from "./event-stream.ts";

export type { LogLine } from "./event-stream.ts";

/** What a submit answers, as far as the app needs it: paths on this server. */
export interface Submitted {
  readonly requestId: string;
  readonly statusPath: string;
  readonly responsePath: string;
  readonly cancelPath: string;
}

export type Status = Extract<WatchedEvent, { readonly type: "status" }>;
export type Shown = Extract<WatchedEvent, { readonly type: "progress" | "preview" }>;

export interface Watcher {
  /** A change of state or position, with all log lines so far. */
  onStatus(status: Status, logs: readonly LogLine[]): void;
  onShown(shown: Shown): void;
  /** The connection was lost (true) or is back (false). The request goes on meanwhile. */
  onLost(isLost: boolean): void;
}

/**
 * Follows a request until it is completed, over lost connections: the request is the server's, only the view is ours.
 * @throws CallError when the request is gone or nobody is signed in any more; the signal's reason
 */
export function watchRequest(
  { requestId }: Pick<Submitted, "requestId">,
  watcher: Watcher,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let logs: LogLine[] = [];
    const end = (settle: () => void): void => {
      stop();
      signal.removeEventListener("abort", leave);
      settle();
    };
    const leave = (): void => end(() => reject(signal.reason));
    const stop = watchEvents(requestId, {
      onEvent(event) {
        switch (event.type) {
          case "status":
            watcher.onLost(false);
            logs = logs.concat(event.logs ?? []);
            watcher.onStatus(event, logs);
            if (event.status === "COMPLETED") end(resolve);
            break;
          case "gone":
            end(() => reject(new CallError(404, "The request was removed from this server.")));
            break;
          default:
            watcher.onShown(event);
        }
      },
      // All lines are told again.
      onOpen: () => {
        logs = [];
      },
      onLost: () => watcher.onLost(true),
      onSignedOut: () =>
        end(() => reject(new CallError(401, "The session has ended. Sign in again; the request goes on."))),
    });
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave, { once: true });
  });
}
