import { CallError } from "./call.ts";
import { readEvents } from "./read-events.ts";

/** What a submit answers, as far as the app needs it: paths on this server. */
export interface Submitted {
  readonly requestId: string;
  readonly statusPath: string;
  readonly responsePath: string;
  readonly cancelPath: string;
}

export interface LogLine {
  readonly message: string;
  readonly level: string;
  readonly timestamp: string;
}

export interface Status {
  readonly status: "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED";
  readonly queue_position?: number;
  readonly logs?: readonly LogLine[] | null;
  readonly metrics?: { readonly inference_time?: number | null };
  readonly error?: string;
}

export type Shown =
  | {
      readonly type: "progress";
      readonly phase: string;
      readonly step: number;
      readonly steps: number;
    }
  | {
      readonly type: "preview";
      readonly image: number;
      readonly step: number;
      readonly width: number;
      readonly height: number;
      readonly url: string;
    };

export interface Watcher {
  /** A change of state or position, with all log lines so far. */
  onStatus(status: Status, logs: readonly LogLine[]): void;
  onShown(shown: Shown): void;
  /** The connection was lost (true) or is back (false). The request goes on meanwhile. */
  onLost(isLost: boolean): void;
}

const RETRY_MS = 1_000;

/**
 * Follows a request until it is completed, over lost connections: the request is the server's, only the view is ours.
 * @throws CallError when the server refuses
 */
export async function watchRequest(request: Submitted, watcher: Watcher, signal: AbortSignal): Promise<void> {
  const shown = new AbortController();
  const both = AbortSignal.any([signal, shown.signal]);
  void showUpdates(request, watcher, both);
  try {
    while (!signal.aborted) {
      try {
        // A new stream tells all log lines again.
        const logs: LogLine[] = [];
        for await (const status of readEvents<Status>(`${request.statusPath}/stream?logs=1`, { signal })) {
          logs.push(...(status.logs ?? []));
          watcher.onLost(false);
          watcher.onStatus(status, logs);
          if (status.status === "COMPLETED") return;
        }
      } catch (error) {
        if (signal.aborted) throw error;
        if (error instanceof CallError && error.status !== 0 && error.status < 500) throw error;
      }
      watcher.onLost(true);
      await sleep(RETRY_MS, signal);
    }
    signal.throwIfAborted();
  } finally {
    shown.abort();
  }
}

/** Steps and previews are nice to have: without them the request is followed all the same. */
async function showUpdates({ requestId }: Submitted, watcher: Watcher, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const shown of readEvents<Shown>(`/v1/sluice/requests/${requestId}/updates`, { signal }))
        watcher.onShown(shown);
      return;
    } catch {
      await sleep(RETRY_MS, signal).catch(() => {});
    }
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true },
    );
  });
}
