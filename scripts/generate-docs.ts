/**
 * `node scripts/generate-docs.ts`: writes the reference pages from the tables that the program runs on. A test fails
 * when a page is not what this would write.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type ErrorEntry, MODEL_ERRORS, REQUEST_ERRORS } from "@sluice/protocol";
import { SETTINGS } from "@sluice/server";

/** Pages by path from the repository's root. */
export function generateDocs(): Readonly<Record<string, string>> {
  return {
    "docs/reference/settings.md": formatSettings(),
    "docs/reference/errors.md": formatErrors(),
  };
}

function formatSettings(): string {
  const rows = SETTINGS.map((row) => {
    const fallback = row.fallback === null || row.fallback === "" ? "" : `\`${row.fallback}\``;
    return `| \`${row.variable}\` | ${row.flag === undefined ? "" : `\`${row.flag}\``} | ${row.kind} | ${fallback} | ${row.help} |`;
  });
  return `# Settings

Read once at start, from the environment or from flags of \`sluice serve\`; a flag wins. Bytes are written like \`32MiB\`,
durations like \`30s\`, \`15m\`, \`30d\`, lists with commas. This page is written by \`scripts/generate-docs.ts\` from the table that the
program parses with.

| variable | flag | kind | default | |
|---|---|---|---|---|
${rows.join("\n")}
| \`SLUICE_MODEL_<NAME>\` |  | string |  | Handed to model code as \`settings.<name>\`. |
`;
}

function formatErrors(): string {
  return `# Errors

Every error that crosses the wire. Model errors have the body \`{"detail":[{"loc":["body","field"],"msg":"…","type":"<type>"}]}\`; request
errors have \`{"detail":"…","error_type":"<type>"}\` and the header \`X-Fal-Error-Type\`. *Retry* says whether the same request can help
when sent again; *who* can do something about it. This page is written by \`scripts/generate-docs.ts\` from the table in
\`protocol/src/errors.ts\`.

## Model errors

${formatErrorTable(MODEL_ERRORS)}

## Request errors

${formatErrorTable(REQUEST_ERRORS)}
`;
}

function formatErrorTable(table: Readonly<Record<string, ErrorEntry>>): string {
  const rows = Object.entries(table).map(
    ([type, { status, retryable, actor, message }]) =>
      `| \`${type}\` | ${status} | ${retryable ? "yes" : "no"} | ${actor} | ${message} |`,
  );
  return `| type | status | retry | who | message |\n|---|---|---|---|---|\n${rows.join("\n")}`;
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  for (const [path, text] of Object.entries(generateDocs())) {
    const file = fileURLToPath(new URL(`../${path}`, import.meta.url));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    process.stdout.write(`${path}\n`);
  }
}
