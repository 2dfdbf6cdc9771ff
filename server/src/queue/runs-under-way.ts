import type { KeyId, RequestId } from "../ids.ts";

/**
 * Direct runs that count against their key's requests per day and are not recorded yet. They are in memory alone: a
 * run that a crash interrupts was never answered, and is not counted.
 */
export interface RunsUnderWay {
  count(keyId: KeyId): number;
  add(id: RequestId, keyId: KeyId): void;
  /** The run is recorded, or will not be. */
  remove(id: RequestId): void;
}

export function createRunsUnderWay(): RunsUnderWay {
  const keys = new Map<RequestId, KeyId>();
  const counts = new Map<KeyId, number>();
  return {
    count: (keyId) => counts.get(keyId) ?? 0,
    add(id, keyId) {
      keys.set(id, keyId);
      counts.set(keyId, (counts.get(keyId) ?? 0) + 1);
    },
    remove(id) {
      const keyId = keys.get(id);
      if (keyId === undefined) return;
      keys.delete(id);
      const rest = (counts.get(keyId) ?? 1) - 1;
      if (rest > 0) counts.set(keyId, rest);
      else counts.delete(keyId);
    },
  };
}
