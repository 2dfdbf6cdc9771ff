/**
 * `npm test`: every test of every package, in one run of Node's test runner. `npm run test:long` adds the long
 * forms (`SLUICE_LONG=1`). Arguments are file patterns that replace the default ones.
 */
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";

const PATTERNS = [
  "protocol/src/**/*.test.ts",
  "client/src/**/*.test.ts",
  "proxy/src/**/*.test.ts",
  "runtime/src/**/*.test.ts",
  "runtime/testing/**/*.test.ts",
  "models/**/*.test.ts",
  "server/src/**/*.test.ts",
  "cli/src/**/*.test.ts",
  "examples/**/*.test.ts",
  "scripts/**/*.test.ts",
];

/** One test file may take this long before it is ended. */
const FILE_TIMEOUT_MS = 10 * 60_000;

const isLong = process.argv.includes("--long");
const patterns = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));

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
