import { createRequestHandler } from "@sluice/proxy/svelte";

// An app of your own says: export const { GET, POST, PUT } = createRequestHandler({ allowedEndpoints: […] });
const handle = (event) => createRequestHandler(globalThis.proxyOptions)[event.request.method](event);

export { handle as GET, handle as POST, handle as PUT };
