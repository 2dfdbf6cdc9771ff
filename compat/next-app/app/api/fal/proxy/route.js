import { createRouteHandler } from "@sluice/proxy/nextjs";

// An app of your own says: export const { GET, POST, PUT } = createRouteHandler({ allowedEndpoints: […] });
const handle = (request) => createRouteHandler(globalThis.proxyOptions)[request.method](request);

export { handle as GET, handle as POST, handle as PUT };
