import { createPageRouterHandler } from "@sluice/proxy/nextjs";

export const config = { api: { bodyParser: false, externalResolver: true } };

// An app of your own says: export default createPageRouterHandler({ allowedEndpoints: […] });
export default (request, response) => createPageRouterHandler(globalThis.proxyOptions)(request, response);
