/**
 * `node server/src/testing/make-upgrade-fixture.ts VERSION`: writes the store of this version, with one of everything, to
 * `server/src/fixtures/upgrade/VERSION.db`. Run it once for every released version; `server/src/upgrade.test.ts` opens each
 * of them with the newest program.
 */
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { silentLogger } from "../logger.ts";
import { parseSettings } from "../settings.ts";
import { openStore } from "../store.ts";
import { fillStore } from "./upgrade-content.ts";

const version = process.argv[2] ?? "";
if (!/^\d+\.\d+\.\d+$/.test(version)) throw new Error("Give the version, for example 0.1.0.");

const folder = fileURLToPath(new URL("../fixtures/upgrade", import.meta.url));
const target = join(folder, `${version}.db`);
const dataDir = mkdtempSync(join(tmpdir(), "sluice-upgrade-"));
try {
  await using store = await openStore({ settings: parseSettings({}, { dataDir }), logger: silentLogger });
  await fillStore(store);
  mkdirSync(folder, { recursive: true });
  rmSync(target, { force: true });
  await store.database.backup(target);
  process.stdout.write(`${target}: ${statSync(target).size} bytes\n`);
} finally {
  rmSync(dataDir, { recursive: true, force: true });
}
