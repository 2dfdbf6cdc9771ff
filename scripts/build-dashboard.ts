/**
 * `node scripts/build-dashboard.ts`: builds the web app when its sources changed since the last build, and does
 * nothing otherwise. `npm start` runs it first. Needs no network.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "dashboard");
/** Beside what was built, so that both go together. */
const record = join(folder, "dist/.built-from");
const vite = join(root, "node_modules/vite/bin/vite.js");

/** @throws Error when the build fails; its messages are on stderr */
export function buildDashboard(): void {
  const hash = hashSources();
  if (existsSync(record) && readFileSync(record, "utf8") === hash) return;
  process.stderr.write("building the web app\n");
  const { status } = spawnSync(process.execPath, [vite, "build", "--logLevel", "warn"], {
    cwd: folder,
    stdio: ["ignore", process.stderr.fd, "inherit"],
  });
  if (status !== 0) throw new Error("The web app could not be built; the messages are above.");
  writeFileSync(record, hash);
}

/** Over the names and bytes of everything that the build reads; the lockfile stands for the libraries. */
function hashSources(): string {
  const hash = createHash("sha256");
  const files = ["src", "public"].flatMap((name) => listFiles(join(folder, name)));
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
