/**
 * `node scripts/pack.ts [FOLDER]`: builds every published package and packs it as `npm publish` would, into
 * FOLDER (default `build/pack`). In the repository packages run from their sources; what is published is compiled,
 * because Node strips types nowhere below `node_modules`.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  createPublishedManifest,
  isPublished,
  type PackageManifest,
} from "../cli/src/client-package/published-manifest.ts";
import { buildDashboard } from "./build-dashboard.ts";

export const PACKAGES = [
  "protocol",
  "client",
  "proxy",
  "runtime",
  "models",
  "server",
  "dashboard",
  "cli",
] as const;

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));

/** @returns paths of the tarballs by package folder */
export async function packAll(target: string): Promise<Record<(typeof PACKAGES)[number], string>> {
  await run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-b"], { cwd: root });
  buildDashboard();
  await rm(target, { recursive: true, force: true });
  await mkdir(target, { recursive: true });
  const tarballs: Record<string, string> = {};
  for (const name of PACKAGES) {
    const stage = join(target, "stage", name);
    await stagePackage(join(root, name), stage);
    const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", target], { cwd: stage });
    const [packed] = JSON.parse(stdout) as { filename: string }[];
    tarballs[name] = join(target, packed!.filename.replace("@", "").replace("/", "-"));
  }
  return tarballs as Record<(typeof PACKAGES)[number], string>;
}

async function stagePackage(source: string, stage: string): Promise<void> {
  const manifest = JSON.parse(await readFile(join(source, "package.json"), "utf8")) as PackageManifest;
  await mkdir(stage, { recursive: true });
  await copyTree(join(source, "dist"), join(stage, "dist"), isPublished);
  // What the sources read at run time besides code: SQL, text, data.
  // Of the web app that is in the bundles already.
  if (manifest.name !== "@sluice/dashboard")
    await copyTree(
      join(source, "src"),
      join(stage, "dist"),
      (path) => isPublished(path) && !path.endsWith(".ts"),
    );
  for (const extra of manifest.files ?? []) {
    if (extra === "dist") continue;
    const from = [join(source, extra), join(root, extra)];
    for (const path of from) {
      const copied = await cp(path, join(stage, extra), { recursive: true, filter: isPublished }).then(
        () => true,
        () => false,
      );
      if (copied) break;
    }
  }
  await writeFile(
    join(stage, "package.json"),
    `${JSON.stringify(createPublishedManifest(manifest), null, 2)}\n`,
  );
}

async function copyTree(from: string, to: string, accept: (path: string) => boolean): Promise<void> {
  const entries = await readdir(from, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const relative = path.slice(from.length + 1);
    if (!accept(relative)) continue;
    await mkdir(dirname(join(to, relative)), { recursive: true });
    await cp(path, join(to, relative));
  }
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const target = resolve(process.argv[2] ?? join(root, "build/pack"));
  for (const path of Object.values(await packAll(target))) process.stdout.write(`${path}\n`);
}
