import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

interface LockedPackage {
  readonly resolved?: string;
  readonly hasInstallScript?: boolean;
}

function readLockedPackages(folder: string): [name: string, locked: LockedPackage][] {
  const { packages } = JSON.parse(readFileSync(join(root, folder, "package-lock.json"), "utf8"));
  return Object.entries(packages);
}

for (const folder of [".", "compat", "bench/bullmq"]) {
  test(`${folder}: the lockfile names no registry, so that any may be used`, () => {
    const named = readLockedPackages(folder).filter(([, { resolved }]) => resolved?.includes("://"));
    assert.deepEqual(named, []);
  });
}

test("npm runs no install script of onnxruntime-node, which would fetch parts for GPUs", () => {
  // npm 11 is told by allowScripts. npm 10 believes the lockfile; a setting in .npmrc makes npm 11 warn at every call.
  const locked = readLockedPackages(".").find(([name]) => name === "node_modules/onnxruntime-node");
  assert.equal(
    locked?.[1].hasInstallScript,
    undefined,
    'take the line "hasInstallScript" of onnxruntime-node out of package-lock.json',
  );
});
