import type { KeyId } from "../../ids.ts";
import type { KeyStore } from "../../keys/key-store.ts";
import type { AdmitOutcome, NewRequest, RequestQueue } from "../../queue/request-queue.ts";

/** Holds keys to their limits of requests in progress and of requests per day, for runs that are not queued. */
export interface RunCounter {
  /** Counts one run. */
  acquire(run: Pick<NewRequest, "id" | "keyId">): Promise<AcquireOutcome>;
}

export type AcquireOutcome =
  /** `release` ends the run as one in progress. */
  | { readonly kind: "acquired"; readonly release: () => void }
  /** The key has as many in progress as it may. */
  | { readonly kind: "busy" }
  | Extract<AdmitOutcome, { readonly kind: "limited" }>;

export function createRunCounter(
  keys: Pick<KeyStore, "find">,
  queue: Pick<RequestQueue, "admit">,
): RunCounter {
  const counts = new Map<KeyId, number>();

  function count(keyId: KeyId): () => void {
    counts.set(keyId, (counts.get(keyId) ?? 0) + 1);
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      const rest = (counts.get(keyId) ?? 1) - 1;
      if (rest > 0) counts.set(keyId, rest);
      else counts.delete(keyId);
    };
  }

  return {
    async acquire(run) {
      const { keyId } = run;
      if (keyId === null) return { kind: "acquired", release: () => {} };
      const limits = (await keys.find(keyId))?.limits ?? {};
      if ((counts.get(keyId) ?? 0) >= (limits.concurrency ?? Number.POSITIVE_INFINITY))
        return { kind: "busy" };
      const release = count(keyId);
      try {
        const outcome = await queue.admit(run);
        if (outcome.kind === "admitted") return { kind: "acquired", release };
        release();
        return outcome;
      } catch (error) {
        release();
        throw error;
      }
    },
  };
}
