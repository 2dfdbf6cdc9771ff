import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDuration } from "./format-duration.ts";
import { formatTable } from "./format-table.ts";
import { wrapHelp } from "./wrap-help.ts";

test("a table's columns line up, and its last one is cut where the terminal ends", () => {
  const text = formatTable(
    ["KEY", "NAME"],
    [
      ["a", "short"],
      ["longer", "a name that does not fit into the space that is left for it"],
    ],
    40,
  );
  assert.deepEqual(text.split("\n"), [
    "KEY     NAME",
    "a       short",
    "longer  a name that does not fit into t…",
  ]);
});

test("a cell cannot move the cursor or break the line", () => {
  assert.equal(formatTable(["A"], [["x\u001B[2Jy\nz"]]), "A\nxy z");
});

test("durations are said as people say them", () => {
  const said = [0, 340, 999, 2100, 59_900, 61_000, 3_600_000, 7_500_000, 345_600_000].map(formatDuration);
  assert.deepEqual(said, [
    "0 ms",
    "340 ms",
    "999 ms",
    "2.1 s",
    "59.9 s",
    "1 min 1 s",
    "1 h 0 min",
    "2 h 5 min",
    "4 d",
  ]);
});

test("help goes on below what it explains, and examples stay whole", () => {
  const help = [
    "A sentence that is longer than the terminal is wide.",
    "  SLUICE_LEASE   A running request whose runner says nothing is queued again.",
    "Examples:",
    "  sluice requests --endpoint fal-ai/flux-pro --state failed",
  ].join("\n");
  assert.deepEqual(wrapHelp(help, 44).split("\n"), [
    "A sentence that is longer than the terminal",
    "is wide.",
    "  SLUICE_LEASE   A running request whose",
    "                 runner says nothing is",
    "                 queued again.",
    "Examples:",
    "  sluice requests --endpoint fal-ai/flux-pro --state failed",
  ]);
  assert.deepEqual(wrapHelp("  SLUICE_LEASE   A running request whose runner is silent.", 30).split("\n"), [
    "  SLUICE_LEASE",
    "      A running request whose",
    "      runner is silent.",
  ]);
});
