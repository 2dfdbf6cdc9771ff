/** The programs of the chapter on file upload, as printed. Each says where its file is in its last line. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { makeProgramFolder, readDocsPrograms } from "./docs-programs.ts";
import { startServer } from "./start-server.ts";

/** What is at the URL, for the programs whose result is no copy of `photo.jpg`. */
const OTHERS: Readonly<Record<string, (body: Buffer, film: Buffer) => boolean>> = {
  "a file in the input": (body) => body.length > 0,
  resume: (body, film) => body.equals(film),
  settings: (body) => body.toString() === "a secret",
};

test("every program of the chapter on file upload uploads its file", { timeout: 240_000 }, async (t) => {
  const programs = await readDocsPrograms("docs/06-file-upload.md");
  assert.equal(programs.length, 8);
  await using server = await startServer();
  await using folder = await makeProgramFolder();
  const photo = await readFile(new URL("../fixtures/photo.jpg", import.meta.url));
  const film = randomBytes(25 * 1024 * 1024);
  await writeFile(join(folder.path, "photo.jpg"), photo);
  await writeFile(join(folder.path, "film.mp4"), film);
  for (const program of programs) {
    await t.test(program.name, async () => {
      const lines = await folder.run(program, { FAL_KEY: server.key, SLUICE_URL: server.url });
      const last = lines.at(-1) ?? "";
      const url = program.language === "sh" ? (JSON.parse(last) as { access_url: string }).access_url : last;
      const response = await fetch(url);
      assert.equal(response.status, 200, lines.join("\n"));
      const body = Buffer.from(await response.arrayBuffer());
      assert.ok(OTHERS[program.name]?.(body, film) ?? body.equals(photo));
    });
  }
  // The program that goes on after a crash has left what it needs, and goes on with it.
  const resume = programs.find(({ name }) => name === "resume")!;
  const session = JSON.parse(await readFile(join(folder.path, "upload.json"), "utf8"));
  assert.equal(session.parts.length, 3);
  const lines = await folder.run(resume, { FAL_KEY: server.key, SLUICE_URL: server.url });
  assert.equal(lines.at(-1), session.fileUrl);
});
