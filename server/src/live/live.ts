import type { Progress } from "@sluice/runtime/model";
import type { AccountId, RequestId } from "../ids.ts";

/**
 * Passing messages between runner and gateway: what is lost if nobody listens, and what never decides a state.
 * `changed` is only a hint to look at the queue again.
 */
export interface Live {
  publish(update: Update): void;
  /**
   * Updates of one request, from this call on until the signal aborts. Never throws; drops the oldest beyond 1,000
   * unread ones. Ask for previews only to show them: making them costs the model time.
   */
  subscribe(
    requestId: RequestId,
    signal: AbortSignal,
    options?: { readonly wantsPreviews?: boolean },
  ): AsyncIterable<Update>;
  /** True when a subscriber of this request asked for previews. */
  hasPreviewListener(requestId: RequestId): boolean;
  /** Work may be there for these endpoints. */
  wake(endpointId: string): void;
  /** Resolves at the next `wake` for one of these endpoints, or after `timeoutMs`. */
  waitForWork(endpointIds: readonly string[], timeoutMs: number, signal: AbortSignal): Promise<void>;
  /** Somebody asked to stop this running request. The runner that holds it listens. */
  requestCancel(requestId: RequestId): void;
  onCancel(listener: (requestId: RequestId) => void): () => void;
  /** Everything, for the event stream of the web app and for metrics. */
  subscribeAll(listener: (update: Update) => void): () => void;
}

export type Update =
  /** State, position or logs changed: ask the queue. */
  | {
      readonly type: "changed";
      readonly requestId: RequestId;
      /** Whose request it is: others are not told. */
      readonly accountId: AccountId;
      readonly endpointId: string;
      readonly state: string;
    }
  | {
      readonly type: "log";
      readonly requestId: RequestId;
      readonly level: string;
      readonly message: string;
      readonly at: number;
    }
  | {
      readonly type: "progress";
      readonly requestId: RequestId;
      readonly progress: Progress;
      readonly at: number;
    }
  | {
      readonly type: "preview";
      readonly requestId: RequestId;
      readonly image: number;
      readonly step: number;
      readonly bytes: Uint8Array;
      readonly contentType: string;
      readonly width: number;
      readonly height: number;
    }
  | { readonly type: "emit"; readonly requestId: RequestId; readonly value: unknown };
