/** The programs of the README, as printed, with the address of a test's server in place of the default one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeProgramFolder, readDocsPrograms } from "./docs-programs.ts";
import { startServer } from "./start-server.ts";

test("every program of the README prints the address of a picture", async () => {
  const programs = await readDocsPrograms("README.md");
  assert.equal(programs.length, 2);
  await using server = await startServer();
  await using folder = await makeProgramFolder();
  for (const program of programs) {
    const text = program.text.replaceAll("http://127.0.0.1:7777", server.url);
    const lines = await folder.run({ ...program, text }, { FAL_KEY: server.key });
    const response = await fetch(lines.at(-1) ?? "");
    assert.equal(response.status, 200, `${program.name}: ${lines.join("\n")}`);
    assert.equal(response.headers.get("content-type"), "image/jpeg");
  }
});
