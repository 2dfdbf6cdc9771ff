import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openServer, parseSettings, silentLogger } from "@sluice/server";
import { createClientTarball } from "../../../cli/src/client-package/client-tarball.ts";

/** A real server on a free port with the fixture model and the app as it was built last. */
export interface TestServer extends AsyncDisposable {
  readonly url: string;
  /** ADMIN key of the first start. */
  readonly key: string;
}

/** @param again where a server was before: its data folder, which stays, and its port */
export async function openTestServer(
  again: { readonly data?: string; readonly port?: string } = {},
): Promise<TestServer> {
  await using opened = new AsyncDisposableStack();
  const data = again.data ?? (await mkdtemp(join(tmpdir(), "sluice-dashboard-")));
  if (again.data === undefined) opened.defer(() => rm(data, { recursive: true, force: true }));
  const server = opened.use(
    await openServer({
      settings: parseSettings({ SLUICE_PORT: again.port ?? "0", SLUICE_DATA: data, SLUICE_MIN_FREE: "0" }),
      modelFiles: [fileURLToPath(new URL("../fixtures/studio.ts", import.meta.url))],
      logger: silentLogger,
      version: "0.0.0-test",
      createClientTarball,
      appFolder: fileURLToPath(new URL("../../dist", import.meta.url)),
    }),
  );
  const key = (await readFile(join(data, "first-key"), "utf8")).trim();
  const held = opened.move();
  return { url: server.url, key, [Symbol.asyncDispose]: () => held.disposeAsync() };
}
