export interface PackageManifest {
  readonly name: string;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly files?: readonly string[];
  readonly [field: string]: unknown;
}

/** A package's manifest as it is published: sources replaced by what they were compiled to. */
export function createPublishedManifest(manifest: PackageManifest): PackageManifest {
  const compiled = (path: string): string => path.replace(/^\.\/src\//, "./dist/").replace(/\.ts$/, ".js");
  const exports = Object.entries(manifest.exports ?? {}).map(([name, path]) => [
    name,
    typeof path === "string" && path.endsWith(".ts")
      ? { types: compiled(path).replace(/\.js$/, ".d.ts"), default: compiled(path) }
      : path,
  ]);
  const bin = Object.entries(manifest.bin ?? {}).map(([name, path]) => [name, compiled(path)]);
  return {
    ...manifest,
    ...(manifest.exports === undefined ? {} : { exports: Object.fromEntries(exports) }),
    ...(manifest.bin === undefined ? {} : { bin: Object.fromEntries(bin) }),
  };
}

/** False for tests and what only the repository needs. */
export function isPublished(path: string): boolean {
  return !/(\.test\.|\/(testing|fixtures)\/|^(testing|fixtures)\/|\.tsbuildinfo$|\.map$)/.test(path);
}
