import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import * as fileSystem from "node:fs/promises";
import { mkdir, mkdtemp, readdir, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openDiskBlobStore } from "./disk-blob-store.ts";
import { testBlobStore } from "./testing/blob-conformance.ts";
import { createForgetfulDisk } from "./testing/forgetful-disk.ts";

testBlobStore("disk", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sluice-blobs-"));
  return {
    blobs: await openDiskBlobStore({ dir }),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
});

test("leftovers of interrupted writes are removed at open", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "sluice-blobs-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await mkdir(join(dir, "=incoming"), { recursive: true });
  await writeFile(join(dir, "=incoming", "half"), "abc");
  const blobs = await openDiskBlobStore({ dir });
  assert.deepEqual(await readdir(join(dir, "=incoming")), []);
  await blobs.put("k", Buffer.from("x"));
  const again = await openDiskBlobStore({ dir });
  assert.equal(Buffer.from((await again.read("k")) ?? []).toString(), "x");
});

test("failed writes leave no temporary file", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "sluice-blobs-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const blobs = await openDiskBlobStore({ dir });
  await assert.rejects(blobs.put("k", Buffer.alloc(100), { maxBytes: 10 }));
  assert.deepEqual(await readdir(join(dir, "=incoming")), []);
  assert.deepEqual(await readdir(dir), ["=incoming"]);
});

test("a process killed while it writes leaves whole blobs only", { timeout: 60_000 }, async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "sluice-blobs-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const program = `
    import { openDiskBlobStore } from ${JSON.stringify(new URL("./disk-blob-store.ts", import.meta.url).href)};
    const blobs = await openDiskBlobStore({ dir: ${JSON.stringify(dir)} });
    process.stdout.write("ready");
    for (let n = 0; ; n += 1) {
      await Promise.all([0, 1, 2].map((lane) => blobs.put("k/" + n + "-" + lane, Buffer.alloc(200_000, n % 251))));
      process.stdout.write(".");
    }`;
  let answered = 0;
  for (let round = 0; round < 3; round += 1) {
    await rm(dir, { recursive: true, force: true });
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    answered = 0;
    child.stdout.on("data", (bytes: Buffer) => {
      answered += bytes.toString().replace("ready", "").length;
      if (answered > 10 + round * 7) child.kill("SIGKILL");
    });
    await once(child, "close");
    const blobs = await openDiskBlobStore({ dir });
    let whole = 0;
    for await (const { key } of blobs.list("k/")) {
      const n = Number(/k\/(\d+)/.exec(key)?.[1]);
      const bytes = Buffer.from((await blobs.read(key)) ?? []);
      assert.ok(bytes.equals(Buffer.alloc(200_000, n % 251)), `${key} is whole`);
      whole += 1;
    }
    assert.ok(whole >= answered * 3, `${whole} blobs for ${answered} answered rounds`);
  }
});

test("a full disk fails the write, leaves nothing, and takes the next one that fits", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "sluice-full-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  // A real disk that is really full: 2 MiB of memory. Mounting needs root.
  const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", dir]);
  if (mount.status !== 0) return t.skip("a small disk can only be mounted by root on Linux");
  try {
    const blobs = await openDiskBlobStore({ dir });
    await blobs.put("kept", Buffer.alloc(500_000, 1));
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      while (true) yield Buffer.alloc(50_000);
    };
    for (let round = 0; round < 3; round += 1) {
      await assert.rejects(blobs.put("big", endless()), { code: "ENOSPC" });
      await assert.rejects(blobs.put("big", Buffer.alloc(3_000_000)), { code: "ENOSPC" });
    }
    assert.equal(await blobs.find("big"), undefined);
    assert.deepEqual(await readdir(join(dir, "=incoming")), []);
    assert.ok(Buffer.alloc(500_000, 1).equals((await blobs.read("kept")) ?? Buffer.of()));
    await blobs.put("fits", Buffer.alloc(1_000_000));
    assert.ok(((await blobs.getFreeBytes()) ?? 0) < 1_000_000);
  } finally {
    spawnSync("umount", [dir]);
  }
});

test("what was answered survives a power cut, and no name ever points to bytes that would not", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "sluice-power-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const disk = createForgetfulDisk(dir);
  const blobs = await openDiskBlobStore({ dir, disk });
  const inParts = async function* (bytes: Buffer): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
  };
  const answered = new Map<string, Buffer>();
  const checkSurvivors = (): void => {
    const survivors = disk.listSurvivors();
    const left = [...survivors.values()];
    for (const [key, bytes] of answered) {
      const name = key.slice(key.lastIndexOf("/") + 1);
      const survives = [...survivors].some(([path, kept]) => path.endsWith(`/${name}`) && kept.equals(bytes));
      assert.ok(survives, `${key} survives, among ${left.length}`);
    }
  };
  for (let round = 0; round < 12; round += 1) {
    const lanes = Array.from({ length: 5 }, async (_, lane) => {
      const key = `${["files", "parts", `deep/er/${round}`][round % 3]}/blob-${round}-${lane}`;
      const bytes = Buffer.alloc(lane * 90_000 + round, round + lane);
      await blobs.put(key, lane % 2 === 0 ? bytes : inParts(bytes));
      answered.set(key, bytes);
      checkSurvivors();
    });
    await Promise.all(lanes);
  }
  assert.equal(answered.size, 60);
  assert.deepEqual(disk.torn, []);
});

test("a joined blob survives a power cut from the moment of its answer, without its pieces", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "sluice-power-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const disk = createForgetfulDisk(dir);
  const blobs = await openDiskBlobStore({ dir, disk });
  const joined: { name: string; pieces: Buffer[] }[] = [];
  const checkSurvivors = (): void => {
    const survivors = [...disk.listSurvivors()];
    for (const { name, pieces } of joined) {
      const kept = survivors
        .filter(([path]) => path.includes(`/${name}/`))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, bytes]) => bytes);
      assert.ok(Buffer.concat(kept).equals(Buffer.concat(pieces)), `${name} survives`);
    }
  };
  for (let round = 0; round < 8; round += 1) {
    const lanes = Array.from({ length: 3 }, async (_, lane) => {
      const pieces = [40_000, 0, 7, 90_000].map((size, n) => Buffer.alloc(size, round * 16 + lane * 4 + n));
      const sources = pieces.map((bytes, n) => ({ key: `parts/${round}-${lane}-${n}`, size: bytes.length }));
      await Promise.all(sources.map(({ key }, n) => blobs.put(key, pieces[n]!)));
      const name = `joined-${round}-${lane}`;
      await blobs.join(`files/${name}`, sources);
      joined.push({ name, pieces });
      checkSurvivors();
      for (const { key } of sources) await blobs.remove(key);
      checkSurvivors();
    });
    await Promise.all(lanes);
  }
  assert.equal(joined.length, 24);
  assert.deepEqual(disk.torn, []);
});

test("a joined blob that is opened and left, unread or half read, leaves no file open", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "sluice-open-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const blobs = await openDiskBlobStore({ dir });
  await blobs.put("a", Buffer.alloc(600_000, 1));
  await blobs.put("b", Buffer.alloc(600_000, 2));
  await blobs.join("ab", [
    { key: "a", size: 600_000 },
    { key: "b", size: 600_000 },
  ]);
  const listOpen = async (): Promise<string[]> => {
    const links = (await readdir("/proc/self/fd")).map((fd) =>
      readlink(`/proc/self/fd/${fd}`).catch(() => ""),
    );
    return (await Promise.all(links)).filter((path) => path.startsWith(dir));
  };
  if (!existsSync("/proc/self/fd")) return t.skip("only Linux says which files are open");
  for (const isRead of [false, true]) {
    const stream = await blobs.open("ab");
    assert.ok(stream !== undefined);
    assert.equal((await listOpen()).length, 1);
    if (isRead) await once(stream, "readable");
    stream.destroy();
    await once(stream, "close");
    // The handle is closed by a call of its own.
    for (let tries = 0; tries < 200 && (await listOpen()).length > 0; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual(await listOpen(), []);
  }
});

test("on a disk without links, pieces are copied", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "sluice-copied-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const refuse = async (): Promise<never> => {
    throw Object.assign(new Error("no links here"), { code: "EPERM" });
  };
  const blobs = await openDiskBlobStore({ dir, disk: { ...fileSystem, link: refuse } });
  await blobs.put("a", Buffer.from("one "));
  await blobs.put("b", Buffer.from("two"));
  await blobs.join("ab", [
    { key: "a", size: 4 },
    { key: "b", size: 3 },
  ]);
  assert.equal(Buffer.from((await blobs.read("ab")) ?? []).toString(), "one two");
  assert.deepEqual(await readdir(join(dir, "=incoming")), []);
});
