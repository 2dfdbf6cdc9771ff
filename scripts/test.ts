/**
 * `npm test`: every test of every package, in one run of Node's test runner. `npm run test:long` adds the long
 * forms (`SLUICE_LONG=1`). Arguments are file patterns that replace the default ones.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PATTERNS = [
  "protocol/src/**/*.test.ts",
  "client/src/**/*.test.ts",
  "proxy/src/**/*.test.ts",
  "runtime/src/**/*.test.ts",
  "runtime/testing/**/*.test.ts",
  "models/**/*.test.ts",
  "server/src/**/*.test.ts",
  "dashboard/test/**/*.test.ts",
  "cli/src/**/*.test.ts",
  "examples/**/*.test.ts",
  "scripts/**/*.test.ts",
  "compat/src/**/*.test.ts",
];

/** One test file may take this long before it is ended. */
const FILE_TIMEOUT_MS = 10 * 60_000;

const isLong = process.argv.includes("--long");
const patterns = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));

installCompat();

const child = spawn(
  process.execPath,
  [
    "--disable-warning=ExperimentalWarning",
    "--test",
    `--test-concurrency=${Math.min(2, availableParallelism())}`,
    `--test-timeout=${isLong ? 12 * FILE_TIMEOUT_MS : FILE_TIMEOUT_MS}`,
    ...(patterns.length === 0 ? PATTERNS : patterns),
  ],
  {
    stdio: "inherit",
    env: { ...process.env, ...(isLong ? { SLUICE_LONG: "1" } : {}) },
  },
);
child.on("exit", (code, signal) => {
  process.exitCode = signal === null ? (code ?? 1) : 1;
});

/** The programs of `compat/` have a lockfile of their own, so that nobody installs them to run the product. */
function installCompat(): void {
  const folder = fileURLToPath(new URL("../compat", import.meta.url));
  const lock = readFileSync(join(folder, "package-lock.json"), "utf8");
  const installed = join(folder, "node_modules/.installed-lock.json");
  if (existsSync(installed) && readFileSync(installed, "utf8") === lock) return;
  process.stderr.write("installing the clients that compat/ tests against\n");
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"], {
    cwd: folder,
    stdio: "inherit",
  });
  if (status !== 0) throw new Error("npm ci in compat/ failed; its messages are above.");
  writeFileSync(installed, lock);
}
