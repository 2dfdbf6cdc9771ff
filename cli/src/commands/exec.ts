import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { getCompileCacheDir } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { addDataOption, resolveDataDir } from "../data-dir.ts";
import { createChildEnvironment } from "../exec/child-environment.ts";
import { chooseKeys } from "../exec/choose-keys.ts";
import { startInterceptor } from "../exec/interceptor.ts";
import { isKeyKnown, openTargetServer } from "../exec/open-target-server.ts";
import { type ChildEnd, runChild, toExitCode } from "../exec/run-child.ts";
import { createExtraRoots, createTrustBundle } from "../exec/trust-bundle.ts";
import { createUpstreamProxy } from "../exec/upstream-proxy.ts";

/** `sluice exec -- COMMAND …`: a program written for fal, unchanged, against this server. */
export function addExecCommand(program: Command): void {
  addDataOption(program.command("exec"))
    .description("run a program written for fal, unchanged, against this server")
    .argument("<command>", "the program")
    .argument("[arguments...]", "what it takes")
    .passThroughOptions()
    .addHelpText(
      "after",
      `
The program and what it starts find this server under fal's own host names; nothing outside of them is touched.
The server is the one at SLUICE_URL, else the one of the data folder, else one that lives as long as the program.

Examples:
  sluice exec -- node app.mjs
  sluice exec -- python app.py
  sluice exec -- npm run dev`,
    )
    .action(async (command: string, args: string[], options: { readonly data?: string }) => {
      const end = await execute(command, args, resolveDataDir(options));
      process.exitCode = toExitCode(end);
      // Whoever waits for us learns that a signal ended it, as if they had started it themselves.
      if ("signal" in end && REPEATED.has(end.signal)) process.kill(process.pid, end.signal);
    });
}

/** Those without a core dump, which would be one of this program. */
const REPEATED: ReadonlySet<string> = new Set(["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"]);

async function execute(command: string, args: readonly string[], dataDir: string): Promise<ChildEnd> {
  const environment = readOwnEnvironment();
  await using server = await openTargetServer(environment, dataDir);
  const keys = await chooseKeys({
    environment,
    serverUrl: server.url,
    firstKey: server.firstKey,
    isKnown: (key) => isKeyKnown(server.url, key),
  });
  for (const note of keys.notes) process.stderr.write(`sluice: ${note}\n`);
  // Makes certificates: a library that no other command wants.
  const { openPrivateAuthority } = await import("../exec/private-authority.ts");
  const authority = await openPrivateAuthority(dataDir, Date.now());
  await using interceptor = await startInterceptor({
    serverUrl: server.url,
    ...(await authority.issue()),
    upstream: createUpstreamProxy(environment),
  });
  await using folder = await openRunFolder();
  const files = {
    authority: join(folder.path, "authority.pem"),
    bundle: join(folder.path, "roots.pem"),
    extraRoots: join(folder.path, "extra-roots.pem"),
    preload: fileURLToPath(new URL("../exec/redirect.cjs", import.meta.url)),
  };
  await writeFile(files.authority, authority.certificate);
  await writeFile(files.bundle, await createTrustBundle(environment, authority.certificate));
  await writeFile(files.extraRoots, await createExtraRoots(environment, authority.certificate));
  return await runChild({
    command,
    args,
    environment: createChildEnvironment({
      environment,
      serverUrl: server.url,
      interceptor,
      files,
      keys: keys.variables,
    }),
  });
}

/** The environment as it was before this program kept what Node compiles in a folder of its own. */
function readOwnEnvironment(): Record<string, string | undefined> {
  const environment = { ...process.env };
  if (environment["NODE_COMPILE_CACHE"] === (getCompileCacheDir() ?? ""))
    delete environment["NODE_COMPILE_CACHE"];
  return environment;
}

/** A folder for files that only this run needs. */
async function openRunFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "sluice-exec-"));
  await chmod(path, 0o700);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
