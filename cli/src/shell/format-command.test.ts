import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { findProgramName } from "./find-program-name.ts";
import { formatCommand, nameProgram } from "./format-command.ts";
import { quoteWord } from "./quote-word.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-shell-"));
  for (const path of ["bin", "clone/node_modules/.bin", "_npx/1/node_modules/.bin"]) {
    await mkdir(join(folder, path), { recursive: true });
    await writeFile(join(folder, path, "sluice"), "");
    await chmod(join(folder, path, "sluice"), 0o755);
  }
  await mkdir(join(folder, "clone/docs"));
  await mkdir(join(folder, "elsewhere/sluice"), { recursive: true });
  await mkdir(join(folder, "unreadable"));
  await symlink("sluice", join(folder, "unreadable/sluice"));
});
after(() => rm(folder, { recursive: true, force: true }));

describe("the program is called", () => {
  const find = (shellFolder: string, installedAt: string, path: readonly string[] = []): string =>
    findProgramName(
      { INIT_CWD: join(folder, shellFolder), PATH: path.map((dir) => join(folder, dir)).join(":") },
      join(folder, installedAt),
    );

  test("by its name where that is on the PATH", () => {
    assert.equal(find("elsewhere", "clone/cli", ["elsewhere", "unreadable", "bin"]), "sluice");
  });
  test("through npx in a clone, although npm has it on the PATH of what it starts", () => {
    assert.equal(find("clone", "clone/cli", ["clone/node_modules/.bin"]), "npx sluice");
    assert.equal(find("clone/docs", "clone/cli"), "npx sluice");
  });
  test("through npx with the clone's folder outside of it", () => {
    assert.equal(find("elsewhere", "clone/cli"), `npx --prefix ${join(folder, "clone")} sluice`);
    assert.equal(find("elsewhere", "_npx/1/node_modules/sluice"), "npx sluice");
  });
});

describe("a command line", () => {
  const here = { INIT_CWD: "/srv/app", PATH: "" };
  const data = "/srv/app/.sluice";
  const format = (place: { url?: string; dataDir?: string }, environment = {}): string =>
    formatCommand(["requests"], place, { ...here, ...environment }).replace(/(npx.*)?sluice requests/, "…");

  test("names the server and the folder where they are not the ones that it looks for by itself", () => {
    assert.equal(format({ url: "http://127.0.0.1:7777", dataDir: data }), "…");
    const elsewhere = { url: "http://127.0.0.1:8000", dataDir: "/var/lib/my sluice" };
    assert.equal(format(elsewhere), 'SLUICE_URL=http://127.0.0.1:8000 … --data "/var/lib/my sluice"');
  });
  test("names them, too, where a variable leads elsewhere", () => {
    const environment = { SLUICE_URL: "http://127.0.0.1:9", SLUICE_DATA: "/other" };
    assert.equal(
      format({ url: "http://127.0.0.1:7777", dataDir: data }, environment),
      `SLUICE_URL=http://127.0.0.1:7777 … --data ${data}`,
    );
  });
  test("looks where its variables lead when it is not said what to reach", () => {
    assert.equal(format({ dataDir: data }, { SLUICE_URL: "http://127.0.0.1:9" }), "…");
    assert.equal(format({}, { SLUICE_DATA: "/other" }), "…");
  });
  test("of a text is called as this shell can", () => {
    assert.match(
      nameProgram("Start one with `sluice serve`."),
      /^Start one with `(npx )?(--prefix \S+ )?sluice serve`\.$/,
    );
    assert.equal(
      nameProgram("`sluice serve`", () => "npx --prefix '/a$&b' sluice"),
      "`npx --prefix '/a$&b' sluice serve`",
    );
  });
});

test("a word is quoted as the shell reads it", () => {
  const words = ["seed=7", "prompt=a red apple", 'prompt=a "red" one', "prompt=it's $5", "prompt=", "a b"];
  assert.deepEqual(words.map(quoteWord), [
    "seed=7",
    'prompt="a red apple"',
    `prompt='a "red" one'`,
    `prompt='it'\\''s $5'`,
    'prompt=""',
    '"a b"',
  ]);
});
