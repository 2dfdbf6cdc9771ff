import assert from "node:assert/strict";
import type { FileHandle } from "node:fs/promises";
import { test } from "node:test";
import { writeAll } from "./disk.ts";

test("bytes are written whole where the system takes a few at a time", async () => {
  const written = Buffer.alloc(10, ".");
  const file = {
    write: async (bytes: Uint8Array, from: number, length: number, position: number) => {
      const taken = Math.min(3, length);
      written.set(bytes.subarray(from, from + taken), position);
      return { bytesWritten: taken, buffer: bytes };
    },
  } as Pick<FileHandle, "write">;
  await writeAll(file, Buffer.from("12345678"), 1);
  assert.equal(written.toString(), ".12345678.");
});
