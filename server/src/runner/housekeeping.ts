import type { Clock } from "../clock.ts";
import type { FileStore } from "../files/file-store.ts";
import type { RequestId } from "../ids.ts";
import type { Live } from "../live/live.ts";
import type { Logger } from "../logger.ts";
import type { RequestQueue } from "../queue/request-queue.ts";

export interface HousekeepingOptions {
  readonly queue: RequestQueue;
  readonly files: FileStore;
  readonly live: Live;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Time between looks at leases and deadlines, in milliseconds; default 1,000. */
  readonly sweepMs?: number;
  /** Time between collections of files, in milliseconds; default 60,000. */
  readonly collectMs?: number;
}

/**
 * What one process does for all: ends leases and deadlines that ran out, removes what is past its retention, collects
 * files. It goes on after an error, and ends when disposed.
 */
export function startHousekeeping(options: HousekeepingOptions): AsyncDisposable {
  const { queue, files, clock, logger, sweepMs = 1_000, collectMs = 60_000 } = options;
  const ending = new AbortController();

  const repeat = async (everyMs: number, work: () => Promise<void>, failed: string): Promise<void> => {
    while (!ending.signal.aborted) {
      try {
        await work();
      } catch (error) {
        logger.error({ error }, failed);
      }
      await clock.sleep(everyMs, ending.signal).catch(() => {});
    }
  };
  const sweep = async (): Promise<void> => {
    const { expiredLeases, expiredStarts, removed } = await queue.sweep();
    for (const requestId of [...expiredLeases, ...expiredStarts]) await tell(requestId, options);
    if (expiredLeases.length > 0)
      logger.warn({ requests: expiredLeases }, "Leases ran out: their runners are silent.");
    if (removed > 0) logger.debug({ removed }, "Requests past their retention were removed.");
  };
  const collect = async (): Promise<void> => {
    const removed = await files.collect();
    if (removed > 0) logger.info({ removed }, "Files were collected.");
  };
  const loops = [
    repeat(sweepMs, sweep, "The queue could not be swept."),
    repeat(collectMs, collect, "Files could not be collected."),
  ];
  return {
    async [Symbol.asyncDispose]() {
      ending.abort();
      await Promise.all(loops);
    },
  };
}

/** Whoever listens to the request looks at it again; one that is queued again may be leased. */
async function tell(requestId: RequestId, { queue, live }: HousekeepingOptions): Promise<void> {
  const request = await queue.find(requestId);
  if (request === undefined) return;
  const { accountId, endpointId, state } = request;
  live.publish({ type: "changed", requestId, accountId, endpointId, state });
  if (state === "queued") live.wake(endpointId);
}
