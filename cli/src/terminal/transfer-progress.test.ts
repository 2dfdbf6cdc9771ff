import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { formatBytes } from "./format-bytes.ts";
import { createTransferProgress, type Transfer } from "./transfer-progress.ts";

const MB = 1_000_000;

function at(share: number): Transfer {
  const files = [
    "text_encoder/model.onnx_data",
    "transformer/a-rather-long-name-of-a-part-of-the-model.onnx_data",
  ].map((path) => ({
    path,
    bytes: 3000 * MB,
    doneBytes: share * 3000 * MB,
    state: share === 1 ? ("done" as const) : ("running" as const),
  }));
  return { files, bytes: 6000 * MB, doneBytes: share * 6000 * MB, fetchedBytes: share * 6000 * MB };
}

describe("the progress of a transfer", () => {
  test("on a terminal of 80 columns is one bar and a line for each file, none longer than the screen", () => {
    const written: string[] = [];
    let now = 0;
    const output = {
      isTTY: true,
      columns: 80,
      write: (text: string) => void written.push(text) === undefined,
    };
    const progress = createTransferProgress("flux-2-klein-4b", output as never, () => now);
    for (const share of [0, 0.25, 0.5]) {
      progress.show(at(share));
      now += 5000;
    }
    const lines = stripVTControlCharacters(written.at(-1) ?? "")
      .replace("\r", "")
      .split("\n")
      .filter(Boolean);
    assert.equal(lines.length, 3);
    assert(
      lines.every((line) => line.length <= 79),
      lines.join("\n"),
    );
    assert.match(lines[0] ?? "", /^flux-2-klein-4b {2}█+░+ +50 % +3\.0 GB of +6\.0 GB +300 MB\/s +10\.0 s$/);
    assert.match(lines[2] ?? "", /^ {2}…?.*\.onnx_data +50 % +3\.0 GB$/);
    progress.end();
    assert.equal(written.at(-1), "\u001b[3A\r\u001b[J", "the bars are gone");
  });

  test("elsewhere is a line for every tenth", () => {
    const written: string[] = [];
    const output = {
      isTTY: false,
      columns: 80,
      write: (text: string) => void written.push(text) === undefined,
    };
    const progress = createTransferProgress("m", output as never);
    for (let i = 0; i <= 100; i++) progress.show(at(i / 100));
    assert.equal(written.length, 11);
    assert.equal(written[5], "m: 50 %, 3.0 GB of 6.0 GB, 0 of 2 files\n");
    assert.equal(written[10], "m: 100 %, 6.0 GB of 6.0 GB, 2 of 2 files\n");
  });
});

test("bytes as hubs count them", () => {
  const said = [0, 999, 1000, 999_499, 12_068_000_000, 999_960, 250 * MB].map(formatBytes);
  assert.deepEqual(said, ["0 B", "999 B", "1.0 kB", "999 kB", "12.1 GB", "1.0 MB", "250 MB"]);
});
