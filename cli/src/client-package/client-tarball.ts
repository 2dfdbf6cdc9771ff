import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";
import { promisify } from "node:util";
import { createPublishedManifest, isPublished, type PackageManifest } from "./published-manifest.ts";
import { createTarball, type TarEntry } from "./tarball.ts";

const require = createRequire(import.meta.url);

/**
 * `@sluice/client` as `npm pack` makes it, with what it needs inside: an app installs it from a server without any
 * registry. In a clone it is compiled first, as for publishing.
 *
 * @throws Error in a clone without the compiler
 */
export async function createClientTarball(): Promise<Uint8Array> {
  const client = findFolder("@sluice/client");
  const protocol = findFolder("@sluice/protocol");
  const msgpack = findFolder("@msgpack/msgpack");
  const manifest = await readManifest(client);
  if (isSource(manifest)) await compile(client);
  const bundled = { ...createPublishedManifest(manifest), devDependencies: undefined };
  return createTarball([
    ...(await packPackage("package", client, {
      ...bundled,
      bundleDependencies: Object.keys((manifest["dependencies"] ?? {}) as object),
    })),
    ...(await packPackage(
      "package/node_modules/@sluice/protocol",
      protocol,
      createPublishedManifest(await readManifest(protocol)),
    )),
    ...(await packPackage("package/node_modules/@msgpack/msgpack", msgpack, await readManifest(msgpack))),
  ]);
}

async function packPackage(
  prefix: string,
  folder: string,
  manifest: PackageManifest,
): Promise<readonly TarEntry[]> {
  const entries: TarEntry[] = [
    { path: `${prefix}/package.json`, bytes: Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`) },
  ];
  for (const name of ["README.md", "LICENSE"]) {
    const bytes = await readFile(join(folder, name)).catch(() => undefined);
    if (bytes !== undefined) entries.push({ path: `${prefix}/${name}`, bytes });
  }
  // A library that is bundled has its ES and CommonJS modules.
  for (const built of ["dist", "dist.cjs", "dist.esm"]) {
    const files = await readdir(join(folder, built), { recursive: true, withFileTypes: true }).catch(
      () => [],
    );
    const paths = files
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
      .filter((path) => isPublished(path.slice(built.length + 1)));
    for (const path of paths.sort())
      entries.push({
        path: `${prefix}/${path.split(sep).join("/")}`,
        bytes: await readFile(join(folder, path)),
      });
  }
  return entries;
}

/** True where the package runs from its sources: in a clone. */
function isSource({ exports = {} }: PackageManifest): boolean {
  return String(exports["."]).endsWith(".ts");
}

async function compile(folder: string): Promise<void> {
  const compiler = join(dirname(require.resolve("typescript/package.json")), "bin/tsc");
  await promisify(execFile)(process.execPath, [compiler, "-b", folder]);
}

async function readManifest(folder: string): Promise<PackageManifest> {
  return JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as PackageManifest;
}

/** Packages may hide their manifest: the folder is found from the entry. */
function findFolder(name: string): string {
  const path =
    name === "@msgpack/msgpack"
      ? createRequire(require.resolve("@sluice/client")).resolve(name)
      : require.resolve(name);
  const end = path.lastIndexOf(
    `${sep}${["dist", "src"].find((each) => path.includes(`${sep}${each}${sep}`)) ?? "dist.cjs"}${sep}`,
  );
  return path.slice(0, end);
}
