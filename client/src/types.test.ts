import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import test, { type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const OFFICIAL = join(ROOT, "compat", "node_modules");

const PROGRAMS = [
  { file: "typed-for-client-1.ts", alias: "@fal-ai/client" },
  { file: "typed-for-serverless-client-0.ts", alias: "@fal-ai/serverless-client" },
] as const;

/** What the compiler has to say about a program whose imports of `alias` mean `target`; empty when all is well. */
async function compile(t: TestContext, file: string, alias: string, target: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-types-"));
  t.after(() => rm(folder, { recursive: true }));
  const config = {
    compilerOptions: {
      strict: true,
      noEmit: true,
      target: "es2022",
      module: "esnext",
      moduleResolution: "bundler",
      allowImportingTsExtensions: true,
      skipLibCheck: true,
      lib: ["es2023", "dom", "dom.iterable", "dom.asynciterable"],
      types: [],
      paths: { [alias]: [target] },
    },
    files: [resolve(ROOT, "client", "fixtures", file)],
  };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config));
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  return run(process.execPath, [tsc, "-p", folder]).then(
    ({ stdout }) => stdout,
    (error: { stdout: string; message: string }) => error.stdout || error.message,
  );
}

for (const { file, alias } of PROGRAMS) {
  test(`a program typed against ${alias} compiles against ours as it is`, async (t) => {
    assert.equal(await compile(t, file, alias, join(ROOT, "client", "src", "index.ts")), "");
  });

  const official = join(OFFICIAL, alias, "src", "index.d.ts");
  const skip = existsSync(official)
    ? false
    : `NOT CHECKED: ${alias} is not installed (npm ci --prefix compat)`;
  test(`and ${alias} itself accepts that program`, { skip }, async (t) => {
    assert.equal(await compile(t, file, alias, official), "");
  });
}

test("the programs of the README compile", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-types-"));
  t.after(() => rm(folder, { recursive: true }));
  const readme = await readFile(join(ROOT, "client", "README.md"), "utf8");
  const programs = [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, program]) => program ?? "");
  assert.ok(programs.length >= 6);
  for (const [index, program] of programs.entries()) {
    const file = join(folder, `program-${index}.ts`);
    const start = program.includes("import {") ? "" : 'import { fal } from "@sluice/client";\n';
    await writeFile(
      file,
      `${start}${program}\ndeclare const file: File;\ndeclare const session: never;\nexport {};\n`,
    );
    const output = await compile(t, file, "@sluice/client", join(ROOT, "client", "src", "index.ts"));
    assert.equal(output, "", program);
  }
});

test("a program that is wrong does not compile", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-types-"));
  t.after(() => rm(folder, { recursive: true }));
  const wrong = join(folder, "wrong.ts");
  await writeFile(wrong, 'import { fal } from "@fal-ai/client";\nfal.subscribe(42, {});\n');
  const output = await compile(t, wrong, "@fal-ai/client", join(ROOT, "client", "src", "index.ts"));
  assert.match(output, /wrong\.ts.*TS2345/);
});
