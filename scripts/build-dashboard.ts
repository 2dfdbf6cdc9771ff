/**
 * `node scripts/build-dashboard.ts`: builds the web app when its sources changed since the last build, and does
 * nothing otherwise. `npm start` runs it first. Needs no network.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "dashboard");
/** Beside what was built, so that both go together. */
const record = join(folder, "dist/.built-from");
const lock = join(folder, "build/lock");
const vite = join(root, "node_modules/vite/bin/vite.js");

/**
 * Several processes may want it at once (tests do): one builds, the others wait, and what is served is replaced in
 * one step.
 * @throws Error when the build fails; its messages are on stderr
 */
export function buildDashboard(): void {
  if (isUpToDate(hashSources())) return;
  takeLock();
  try {
    const hash = hashSources();
    if (!isUpToDate(hash)) build(hash);
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function isUpToDate(hash: string): boolean {
  return existsSync(record) && readFileSync(record, "utf8") === hash;
}

function build(hash: string): void {
  process.stderr.write("building the web app\n");
  const fresh = join(folder, "build/dist");
  const options = ["build", "--logLevel", "warn", "--outDir", fresh, "--emptyOutDir"];
  const { status } = spawnSync(process.execPath, [vite, ...options], {
    cwd: folder,
    stdio: ["ignore", process.stderr.fd, "inherit"],
  });
  if (status !== 0) throw new Error("The web app could not be built; the messages are above.");
  writeFileSync(join(fresh, basename(record)), hash);
  rmSync(dirname(record), { recursive: true, force: true });
  renameSync(fresh, dirname(record));
}

const LOCK_MS = 60_000;

/** A folder is made by one process only. One that is older than any build was left by a process that was killed. */
function takeLock(): void {
  mkdirSync(dirname(lock), { recursive: true });
  for (;;) {
    try {
      mkdirSync(lock);
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== "EEXIST") throw error;
    }
    const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - since > LOCK_MS) rmSync(lock, { recursive: true, force: true });
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
}

/** Over the names and bytes of everything that the build reads; the lockfile stands for the libraries. */
function hashSources(): string {
  const hash = createHash("sha256");
  const files = ["src", "public", "../client/src", "../protocol/src"]
    .flatMap((name) => listFiles(join(folder, name)))
    .filter((path) => !/\.test\.ts$|\/testing\//.test(path));
  const others = ["index.html", "package.json", "vite.config.ts", "../package-lock.json"];
  for (const path of [...files, ...others.map((name) => join(folder, name))].sort()) {
    const bytes = readFileSync(path);
    hash.update(`${relative(folder, path)}\n${bytes.length}\n`).update(bytes);
  }
  return hash.digest("hex");
}

function listFiles(path: string): readonly string[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  // An install without the tools (npm ci --omit=dev) still serves the API, and an app that was built before.
  if (existsSync(vite)) buildDashboard();
  else process.stderr.write("the web app is not rebuilt: npm ci installs the tools for it\n");
}
