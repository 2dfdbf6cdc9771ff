import type { KeyId } from "../../ids.ts";
import type { KeyStore } from "../../keys/key-store.ts";

/** Holds keys to their limit of requests in progress, for runs that the queue does not see. */
export interface RunCounter {
  /** Counts one run; gives what ends it, or undefined when the key has as many as it may. */
  acquire(keyId: KeyId | null): Promise<(() => void) | undefined>;
}

export function createRunCounter(keys: Pick<KeyStore, "find">): RunCounter {
  const counts = new Map<KeyId, number>();
  return {
    async acquire(keyId) {
      if (keyId === null) return () => {};
      const limit = (await keys.find(keyId))?.limits.concurrency ?? Number.POSITIVE_INFINITY;
      const count = counts.get(keyId) ?? 0;
      if (count >= limit) return undefined;
      counts.set(keyId, count + 1);
      let isReleased = false;
      return () => {
        if (isReleased) return;
        isReleased = true;
        const rest = (counts.get(keyId) ?? 1) - 1;
        if (rest > 0) counts.set(keyId, rest);
        else counts.delete(keyId);
      };
    },
  };
}
