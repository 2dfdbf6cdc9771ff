export { createProxy, DEFAULT_PROXY_ROUTE, type ProxyHandler, TARGET_URL_HEADER } from "./create-proxy.ts";
export { answerNodeRequest, type NodeRequest, type NodeResponse } from "./node-handler.ts";
export type { ProxyCall, ProxyOptions } from "./proxy-options.ts";
