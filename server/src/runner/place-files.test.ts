import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JsonSchema } from "@sluice/runtime/model";
import { placeFiles } from "./place-files.ts";

const file = {
  url: "https://files.test/a.png",
  content_type: "image/png",
  file_name: "a.png",
  file_size: 3,
  width: 2,
  height: 1,
};
const mark = { $artifact: 0 };

describe("placing files in an output", () => {
  it("keeps the members that the schema declares, behind references and alternatives", () => {
    const schema: JsonSchema = {
      type: "object",
      properties: {
        plain: { properties: { url: {}, width: {} } },
        list: { type: "array", items: { $ref: "#/$defs/Image" } },
        maybe: { anyOf: [{ $ref: "#/$defs/Image" }, { type: "null" }] },
        both: { allOf: [{ properties: { url: {} } }, { properties: { file_size: {} } }] },
        pair: { prefixItems: [{ properties: { url: {}, height: {} } }] },
        named: { additionalProperties: { $ref: "#/$defs/Image" } },
      },
      $defs: { Image: { type: "object", properties: { url: {}, content_type: {} } } },
    };
    const output = {
      plain: mark,
      list: [mark],
      maybe: mark,
      both: mark,
      pair: [mark, mark],
      named: { a: mark },
    };
    const { url, content_type } = file;
    assert.deepEqual(placeFiles(output, schema, [file]), {
      plain: { url, width: 2 },
      list: [{ url, content_type }],
      maybe: { url, content_type },
      both: { url, file_size: 3 },
      pair: [{ url, height: 1 }, file],
      named: { a: { url, content_type } },
    });
  });

  it("puts the whole file where nothing is declared and the URL alone where a text is", () => {
    const schema: JsonSchema = {
      type: "object",
      properties: { link: { type: "string" }, empty: { type: "object" } },
    };
    assert.deepEqual(placeFiles({ link: mark, empty: mark, other: [mark] }, schema, [file]), {
      link: file.url,
      empty: file,
      other: [file],
    });
  });

  it("leaves everything else as it is, also what only looks like a mark", () => {
    const output = {
      a: [1, null, "x", { b: true }],
      c: { $artifact: null, value: { $artifact: 0, d: mark } },
    };
    assert.deepEqual(placeFiles(output, {}, [file]), {
      a: [1, null, "x", { b: true }],
      c: { $artifact: 0, d: file },
    });
    assert.throws(() => placeFiles({ a: { $artifact: 4 } }, {}, [file]), RangeError);
  });
});
