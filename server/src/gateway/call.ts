import type { RequestId } from "../ids.ts";
import type { Surface } from "./context.ts";
import type { PublicUrls } from "./public-urls.ts";

/** The connection a request came by. Everything but `isTls` is for logs, trust and the server's own address. */
export interface Connection {
  readonly remoteAddress: string | undefined;
  readonly isTls: boolean;
  /** Address and port of this server's side of the connection. */
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
}

/** One HTTP request on its way through the gateway: what the routes of every surface are given. */
export interface Call {
  readonly request: Request;
  /** The URL that was asked for; for the built-in proxy the target's. */
  readonly url: URL;
  readonly surface: Surface;
  /** Path inside the surface, as it came (still percent-encoded), beginning with `/`. */
  readonly path: string;
  /** How the surface was named; decides in which style queue URLs answer. */
  readonly style: "mount" | "host" | "proxy";
  /** Id of this call, sent as `x-fal-request-id`; a submit and a run give it to their request. */
  readonly requestId: RequestId;
  /** Where callers reach this server. */
  readonly urls: PublicUrls;
  readonly connection: Connection;
}

/** What a surface does with a call. Its answer already has the common headers. */
export type Route = (call: Call) => Promise<Response>;
