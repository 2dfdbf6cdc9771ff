import { type Connection, callServer } from "./connection.ts";

/** An endpoint as `/v1/models` tells it. */
export interface OfferedEndpoint {
  readonly endpoint_id: string;
  readonly metadata: {
    readonly display_name: string;
    readonly category: string;
    readonly description: string;
    readonly model?: { readonly name: string; readonly version: string };
  };
}

/** Everything that a server offers, page by page; 10,000 endpoints at most. */
export async function listEndpoints(connection: Connection): Promise<readonly OfferedEndpoint[]> {
  const all: OfferedEndpoint[] = [];
  let cursor: string | null = null;
  do {
    const query: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = (await callServer(connection, `/v1/models?limit=100${query}`)) as {
      readonly models: readonly OfferedEndpoint[];
      readonly next_cursor: string | null;
    };
    all.push(...page.models);
    cursor = page.next_cursor;
  } while (cursor !== null && all.length < 10_000);
  return all;
}
