import type { Clock } from "../clock.ts";
import type { BlobStore } from "../files/blob-store.ts";

/** Says whether the storage is so full that new work must be refused. */
export interface FreeSpaceCheck {
  /** True below the mark. Looks at the disk at most once in five seconds; a failing look counts as enough space. */
  isShort(): Promise<boolean>;
}

const LOOK_INTERVAL_MS = 5_000;

export function createFreeSpaceCheck(parts: {
  readonly blobs: BlobStore;
  readonly minFreeBytes: number;
  readonly clock: Clock;
}): FreeSpaceCheck {
  const { blobs, minFreeBytes, clock } = parts;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let answer: Promise<boolean> = Promise.resolve(false);
  const look = async (): Promise<boolean> => {
    try {
      const freeBytes = await blobs.getFreeBytes();
      return freeBytes !== undefined && freeBytes < minFreeBytes;
    } catch {
      // A storage that cannot say must not stop the server: a write that fails says so itself.
      return false;
    }
  };
  return {
    isShort() {
      const now = clock.monotonic();
      if (now - lookedAt >= LOOK_INTERVAL_MS) {
        lookedAt = now;
        answer = look();
      }
      return answer;
    },
  };
}
