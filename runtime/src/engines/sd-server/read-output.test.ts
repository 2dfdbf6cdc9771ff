import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createOutputReader, type OutputEvent } from "./read-output.ts";

/** As it came from the program, with carriage returns and "erase to the end of the line". */
const RECORDED = [
  "[INFO ] stable-diffusion.cpp:713  - loading model from '/models/sd.safetensors'\n",
  "\r  |####                                              | 60/686 - 1.48GB/s\u001b[K",
  "\r  |##################################################| 686/686 - 905.11MB/s\u001b[K\n",
  "[INFO ] main.cpp:145  - listening on: http://127.0.0.1:34567\n",
  "[INFO ] stable-diffusion.cpp:5679 - generating image: 1/1 - seed 42\n",
  "\r  |=========================>                        | 1/2 - 1.23s/it\u001b[K",
  "\r  |==================================================| 2/2 - 2.40it/s\u001b[K\n",
  "[INFO ] stable-diffusion.cpp:5711 - sampling completed, taking 2.46s\n",
  "[WARN ] stable-diffusion.cpp:4154 - align generation request up 100x64 to 104x64 (multiple=8)\n",
  "[INFO ] stable-diffusion.cpp:5391 - decode_first_stage completed, taking 0.70s\n",
  "[INFO ] stable-diffusion.cpp:5861 - generate_image completed in 3.30s\n",
  "[ERROR] ggml_extend.hpp:1900 - 木 alloc runtime buffer failed",
].join("");

const EXPECTED: readonly OutputEvent[] = [
  { kind: "line", level: "INFO", text: "loading model from '/models/sd.safetensors'" },
  { kind: "loading", done: 60, of: 686 },
  { kind: "loading", done: 686, of: 686 },
  { kind: "line", level: "INFO", text: "listening on: http://127.0.0.1:34567" },
  { kind: "sampling" },
  { kind: "steps", done: 1, of: 2 },
  { kind: "steps", done: 2, of: 2 },
  { kind: "sampled" },
  { kind: "line", level: "WARN", text: "align generation request up 100x64 to 104x64 (multiple=8)" },
  { kind: "decoded" },
  { kind: "finished" },
  { kind: "line", level: "ERROR", text: "木 alloc runtime buffer failed" },
];

function read(pieces: Iterable<string>): OutputEvent[] {
  const events: OutputEvent[] = [];
  const reader = createOutputReader((event) => events.push(event));
  for (const piece of pieces) reader.push(piece);
  reader.end();
  return events;
}

describe("the output of sd-server", () => {
  test("is understood whole, byte by byte, and cut at every place", () => {
    assert.deepEqual(read([RECORDED]), EXPECTED);
    assert.deepEqual(read(RECORDED), EXPECTED);
    for (let at = 0; at <= RECORDED.length; at += 7)
      assert.deepEqual(read([RECORDED.slice(0, at), RECORDED.slice(at)]), EXPECTED, `cut at ${at}`);
  });

  test("a step is told when its bar is drawn, not when the next one begins", () => {
    const events: OutputEvent[] = [];
    createOutputReader((event) => events.push(event)).push("\r  |=====>    | 3/28 - 1.23s/it\u001b[K");
    assert.deepEqual(events, [{ kind: "steps", done: 3, of: 28 }]);
  });

  test("anything else comes out as a line, and a flood without an end is cut", () => {
    assert.deepEqual(
      read(["\u001b[34;1m[INFO ]\u001b[0m a.cpp:1 - in colour\r\n\r\n", "GGML_ASSERT(x) failed\n"]),
      [
        { kind: "line", level: "INFO", text: "in colour" },
        { kind: "line", level: "INFO", text: "GGML_ASSERT(x) failed" },
      ],
    );
    const flood = read(["?".repeat(40_000), "?".repeat(40_000), "\n", "after\n"]);
    assert.ok(flood.length <= 4);
    for (const event of flood) assert.ok(event.kind === "line" && event.text.length <= 16_384);
    assert.deepEqual(flood.at(-1), { kind: "line", level: "INFO", text: "after" });
  });
});
