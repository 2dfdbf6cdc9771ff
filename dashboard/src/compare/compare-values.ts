import type { Document } from "../api/models.ts";
import { chooseWidget } from "../form/schema-form.tsx";
import { type Field, listChoices } from "../schema/schema.ts";

/** So many requests at most: a grid is to be looked at, and others wait in the same queue. */
export const MAX_CELLS = 16;

/** Fields that can be compared: numbers, seeds, texts and choices. */
export function listComparable(fields: readonly Field[], document: Document): readonly Field[] {
  return fields.filter((field) =>
    ["prompt", "text", "choice", "switch", "number", "seed"].includes(chooseWidget(field, document)),
  );
}

/** Values to begin with, one on a line. */
export function suggestValues(field: Field, document: Document, current: unknown): string {
  const { schema } = field;
  switch (chooseWidget(field, document)) {
    case "seed":
      return "1\n2\n3\n4";
    case "switch":
      return "false\ntrue";
    case "choice":
      return listChoices(schema, document).slice(0, MAX_CELLS).map(String).join("\n");
    case "number": {
      const { minimum = 1, maximum = minimum + 3, type } = schema;
      const values = [0, 1 / 3, 2 / 3, 1].map((part) => {
        const value = minimum + part * (maximum - minimum);
        return type === "integer" ? Math.round(value) : Math.round(value * 10) / 10;
      });
      return [...new Set(values)].join("\n");
    }
    default:
      return typeof current === "string" ? current : "";
  }
}

/** The values of the lines as the field takes them; an empty line is none. */
export function parseValues(field: Field, document: Document, text: string): readonly unknown[] {
  const choices = listChoices(field.schema, document);
  const kind = chooseWidget(field, document);
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .map((line) => {
      if (kind === "choice") return choices.find((choice) => String(choice) === line) ?? line;
      if (kind === "switch") return line === "true";
      // What is no number goes as it is: the server says what is wrong with it.
      if (kind === "number" || kind === "seed") return Number.isNaN(Number(line)) ? line : Number(line);
      return line;
    });
}
