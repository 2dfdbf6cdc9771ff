/**
 * `node compat/src/write-compatibility.ts`: writes `docs/compatibility.md` from what the compatibility tests wrote down at their
 * last run (`build/compatibility.json`). The tests fail when the page says anything else than they saw.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { CHECKLISTS, type Checklist } from "./checklists.ts";
import { CLIENTS, OPERATIONS, type Way } from "./clients.ts";

/** One operation of one client, as it went. */
export interface Outcome {
  readonly client: string;
  readonly way: Way;
  readonly operation: string;
  readonly ok: boolean;
}

export const RESULTS_PATH: string = fileURLToPath(new URL("../../build/compatibility.json", import.meta.url));
export const PAGE_PATH: string = fileURLToPath(new URL("../../docs/compatibility.md", import.meta.url));

/** The page as it must be when these are the outcomes. */
export function formatPage(outcomes: readonly Outcome[]): string {
  const notes = CLIENTS.flatMap((client) =>
    Object.entries(client.missing ?? {}).flatMap(([way, reasons]) =>
      Object.entries(reasons).map(
        ([operation, reason]) =>
          `- ${client.title}, ${way === "exec" ? "`sluice exec`" : "settings"}, *${operation}*: ${reason}.`,
      ),
    ),
  );
  return `# Compatibility

Programs with unmodified, version-pinned clients (\`compat/programs/\`), run against this server by \`npm test\`. This page is written by
\`compat/src/write-compatibility.ts\` from the results of those tests, and they fail when it says anything else than they saw.
A dash: the client has no such operation, or the note below says why.

## With the settings of [Clients](02-clients.md)

${formatTable(outcomes, "recipe")}

## Under \`sluice exec\`, with no settings

${formatTable(outcomes, "exec")}
${notes.length === 0 ? "" : `\n${notes.join("\n")}\n`}
## \`@sluice/client\` by runtime

Thirteen operations, the same in each, by \`compat/src/runtimes.test.ts\`: this Node, Deno ${VERSIONS.deno}, Bun ${VERSIONS.bun},
workerd ${VERSIONS.workerd}, a page in Chromium. \`client/src/node-versions.test.ts\` runs the compiled package on every other Node at
hand, from 20 on.

## Which test shows what

${CHECKLISTS.map(formatChecklist).join("\n\n")}
`;
}

const VERSIONS = (
  JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    optionalDependencies: { deno: string; bun: string; workerd: string };
  }
).optionalDependencies;

/** What must be shown, and the files with the tests that show it. */
export function formatChecklist({ title, rows }: Checklist): string {
  const lines = rows.map(({ what, tests }) => {
    const files = [...new Set(tests.map(([file]) => `\`${file}\``))];
    return `| ${what} | ${files.join(", ")} |`;
  });
  return [`### ${title}`, "", "| | |", "|---|---|", ...lines].join("\n");
}

/** The line of one client in the table of one way. */
export function formatRow(outcomes: readonly Outcome[], client: string, way: Way): string {
  const cells = OPERATIONS.map((operation) => {
    const found = outcomes.find(
      (entry) => entry.client === client && entry.way === way && entry.operation === operation,
    );
    return found === undefined ? "–" : found.ok ? "✓" : "✗";
  });
  return `| ${client} | ${cells.join(" | ")} |`;
}

function formatTable(outcomes: readonly Outcome[], way: Way): string {
  const rows = CLIENTS.map(({ title }) => formatRow(outcomes, title, way));
  return [
    `| client | ${OPERATIONS.join(" | ")} |`,
    `|---|${OPERATIONS.map(() => ":-:|").join("")}`,
    ...rows,
  ].join("\n");
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  writeFileSync(PAGE_PATH, formatPage(JSON.parse(readFileSync(RESULTS_PATH, "utf8")) as Outcome[]));
}
