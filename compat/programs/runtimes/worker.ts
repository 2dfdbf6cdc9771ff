import { runOperations } from "./operations.ts";

/** For workers: a request with the server's address and key is answered with what was seen. */
export default {
  async fetch(request: Request): Promise<Response> {
    const query = new URL(request.url).searchParams;
    return Response.json(await runOperations({ url: query.get("url") ?? "", key: query.get("key") ?? "" }));
  },
};
