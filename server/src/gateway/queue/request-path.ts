/** What may be asked about a request, by the end of its path. */
export type RequestAction = "result" | "status" | "stream" | "cancel";

export interface RequestPath {
  /** The endpoint as it was given: `[namespace/]owner/alias`, with or without the path below it. */
  readonly endpoint: string;
  readonly requestId: string;
  readonly action: RequestAction;
}

/**
 * Reads `/{endpoint}/requests/{id}` with `/status`, `/status/stream`, `/response` or `/cancel` behind it, with or
 * without a trailing slash. Undefined for every other path.
 */
export function parseRequestPath(path: string): RequestPath | undefined {
  const match = REQUEST_PATH.exec(path);
  if (match === null) return undefined;
  const [, endpoint = "", requestId = "", end = ""] = match;
  return { endpoint, requestId, action: ACTIONS[end] ?? "result" };
}

const REQUEST_PATH = /^\/(.+?)\/requests\/([^/]+)(\/status\/stream|\/status|\/cancel|\/response)?\/?$/;

const ACTIONS: Readonly<Record<string, RequestAction>> = {
  "/status/stream": "stream",
  "/status": "status",
  "/cancel": "cancel",
  "/response": "result",
};
