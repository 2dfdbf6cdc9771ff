import { runOperations } from "./operations.ts";

/** For pages: a test calls it with the server's address. */
Object.assign(globalThis, { runOperations });
