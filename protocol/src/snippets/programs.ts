/** One call of an endpoint, to be printed. */
export interface CodeCall {
  /** Origin of this server. */
  readonly origin: string;
  readonly endpointId: string;
  readonly input: Readonly<Record<string, unknown>>;
}

export interface CodeLanguage {
  readonly id: "javascript" | "sluice" | "typescript" | "python" | "curl" | "cli";
  readonly name: string;
  format(call: CodeCall): string;
}

/** Every language that a call is printed in, in the order of the tabs. Each runs as printed, with the key in `FAL_KEY`. */
export const CODE_LANGUAGES: readonly CodeLanguage[] = [
  { id: "javascript", name: "JavaScript", format: formatOfficial },
  { id: "sluice", name: "@sluice/client", format: formatSluice },
  { id: "typescript", name: "TypeScript", format: formatTypeScript },
  { id: "python", name: "Python", format: formatPython },
  { id: "curl", name: "cURL", format: formatCurl },
  { id: "cli", name: "CLI", format: formatCli },
];

function formatOfficial({ origin, endpointId, input }: CodeCall): string {
  return `import { createFalClient } from "@fal-ai/client";

const fal = createFalClient({
  credentials: process.env.FAL_KEY,
  proxyUrl: { url: "${origin}/api/fal/proxy", when: "always" },
});

const { data, requestId } = await fal.subscribe("${endpointId}", {
  input: ${indent(input, "  ")},
  logs: true,
  onQueueUpdate: (update) => console.log(update.status),
});
console.log(requestId, data);`;
}

function formatSluice({ origin, endpointId, input }: CodeCall): string {
  return `import { createFalClient } from "@sluice/client";

const fal = createFalClient({ url: "${origin}", credentials: process.env.FAL_KEY });

const { data, requestId } = await fal.subscribe("${endpointId}", {
  input: ${indent(input, "  ")},
  logs: true,
  onQueueUpdate: (update) => console.log(update.status),
});
console.log(requestId, data);`;
}

function formatTypeScript({ origin, endpointId, input }: CodeCall): string {
  return `import { createFalClient, type InputType, type OutputType } from "@sluice/client";

const fal = createFalClient({ url: "${origin}", credentials: process.env.FAL_KEY });

// SLUICE_URL=${origin} npx sluice types --out fal.d.ts makes these types exact.
const input: InputType<"${endpointId}"> = ${indent(input, "")};
const result = await fal.subscribe("${endpointId}", {
  input,
  logs: true,
  onQueueUpdate: (update) => console.log(update.status),
});
const output: OutputType<"${endpointId}"> = result.data;
console.log(result.requestId, output);`;
}

function formatPython({ origin, endpointId, input }: CodeCall): string {
  return `import json, os, urllib.request

request = urllib.request.Request(
    "${origin}/run/${endpointId}",
    data=json.dumps(${formatPythonValue(input, "    ")}).encode(),
    headers={
        "Authorization": "Key " + os.environ["FAL_KEY"],
        "Content-Type": "application/json",
    },
)
with urllib.request.urlopen(request) as response:
    print(json.load(response))`;
}

function formatCurl({ origin, endpointId, input }: CodeCall): string {
  return `curl --request POST "${origin}/run/${endpointId}" \\
  --header "Authorization: Key $FAL_KEY" \\
  --header "Content-Type: application/json" \\
  --data ${quoteForShell(JSON.stringify(input, null, 2))}`;
}

function formatCli({ origin, endpointId, input }: CodeCall): string {
  const fields = Object.entries(input).map(([name, value]) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return `  ${/^[\w.:/@-]+$/.test(text) ? `${name}=${text}` : `${name}=${quoteForShell(text)}`}`;
  });
  return [`SLUICE_URL=${origin} npx sluice run ${endpointId}`, ...fields].join(" \\\n");
}

function indent(value: unknown, by: string): string {
  return JSON.stringify(value, null, 2).replaceAll("\n", `\n${by}`);
}

export function quoteForShell(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** JSON's texts and numbers read the same in Python; its words do not. */
export function formatPythonValue(value: unknown, indentation = ""): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indentation}    `;
  const lines = Array.isArray(value)
    ? value.map((item) => `${inner}${formatPythonValue(item, inner)},\n`)
    : Object.entries(value).map(
        ([name, member]) => `${inner}${JSON.stringify(name)}: ${formatPythonValue(member, inner)},\n`,
      );
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  return lines.length === 0 ? `${open}${close}` : `${open}\n${lines.join("")}${indentation}${close}`;
}
