import { createProxy } from "./create-proxy.ts";
import { answerNodeRequest, type NodeRequest, type NodeResponse } from "./node-handler.ts";
import type { ProxyOptions } from "./proxy-options.ts";

/** For `node:http`: `createServer(createHandler({ … }))`, or one route of a server of your own. */
export function createHandler(
  options: ProxyOptions,
): (request: NodeRequest, response: NodeResponse) => Promise<void> {
  const proxy = createProxy(options, "node");
  return (request, response) => answerNodeRequest(proxy, request, response);
}
