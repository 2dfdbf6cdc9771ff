import type { RequestFilter, RequestQueue, RequestRecord } from "../../queue/request-queue.ts";
import { invalid } from "./read-query.ts";

const PAGE = 500;
/** Most requests that one answer is calculated from. */
const MAX_REQUESTS = 100_000;

/** Every finished request of a filter, page by page. @throws PlatformError when there are more than 100,000 */
export async function* listFinished(
  queue: RequestQueue,
  filter: Omit<RequestFilter, "limit" | "cursor" | "states">,
): AsyncGenerator<RequestRecord> {
  let cursor: string | undefined;
  let count = 0;
  do {
    const page = await queue.listRequests({
      ...filter,
      states: ["succeeded", "failed", "cancelled"],
      limit: PAGE,
      ...(cursor === undefined ? {} : { cursor }),
    });
    yield* page.requests;
    count += page.requests.length;
    if (count > MAX_REQUESTS)
      throw invalid(`More than ${MAX_REQUESTS} requests match; choose a shorter time or fewer endpoints.`);
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
}
