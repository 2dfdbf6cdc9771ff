import { createPageRouterHandler } from "@sluice/proxy/nextjs";

export const config = { api: { bodyParser: { sizeLimit: "10mb" }, externalResolver: true } };

export default (request, response) => createPageRouterHandler(globalThis.proxyOptions)(request, response);
