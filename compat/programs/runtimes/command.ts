import { runOperations } from "./operations.ts";

/** For runtimes with a command line and `process`, as Node, Deno and Bun have it. */
const [url = "", key = ""] = process.argv.slice(2);
console.log(JSON.stringify(await runOperations({ url, key })));
process.exit(0);
