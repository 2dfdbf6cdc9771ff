import type { CatalogEntry } from "../../catalog/catalog.ts";
import { describeFields, type FieldDescription } from "./describe-fields.ts";
import type { DocumentUrls } from "./endpoint-document.ts";
import { createSampleInput } from "./sample-input.ts";

/** `/models/{endpoint_id}/llms.txt`: everything a program or person needs to call the endpoint, as Markdown. */
export function formatEndpointText(entry: CatalogEntry, urls: DocumentUrls): string {
  const { endpointId, manifest } = entry;
  const { origin } = urls;
  const sample = createSampleInput(entry);
  const [example] = manifest.examples;
  const parts = [
    `# ${manifest.title}`,
    manifest.description === "" ? [] : `> ${manifest.description}`,
    "## Overview",
    [
      `- **Endpoint**: \`${origin}/run/${endpointId}\` (answers when done) or \`${urls.queue}/${endpointId}\` (queued)`,
      `- **Endpoint ID**: \`${endpointId}\``,
      `- **Category**: ${manifest.category}`,
      manifest.tags.length === 0 ? [] : `- **Tags**: ${manifest.tags.join(", ")}`,
      `- **Model that answers**: ${manifest.model.name}, version ${manifest.model.version}`,
      `- **License of the weights**: ${manifest.license ?? "not stated"}`,
      `- **OpenAPI**: ${origin}/api/openapi/queue/openapi.json?endpoint_id=${encodeURIComponent(endpointId)}`,
    ],
    "## Pricing",
    manifest.price.amount === 0
      ? "Calls cost nothing on this server."
      : `USD ${manifest.price.amount} per ${manifest.price.unit}.`,
    "## Input",
    "A JSON object. Fields marked with * are required; fields that are not listed are ignored.",
    describeFields(manifest.input).map(formatField),
    "Example:",
    fence("json", JSON.stringify(sample, null, 2)),
    "## Output",
    describeFields(manifest.output).map(formatField),
    example?.output === undefined
      ? []
      : ["Example:", "", fence("json", JSON.stringify(example.output, null, 2))],
    "## Calling the endpoint",
    `Every call carries a key of this server: \`Authorization: Key id:secret\`. The samples read it from \`FAL_KEY\`.`,
    "### cURL",
    fence("bash", formatCurl(endpointId, urls, sample)),
    "### Python",
    fence("python", formatPython(endpointId, urls, sample)),
    "### JavaScript",
    fence("javascript", formatJavaScript(endpointId, urls, sample)),
  ];
  const paragraphs = parts.map((part) => (Array.isArray(part) ? part.flat().join("\n") : part));
  return `${paragraphs.filter((text) => text !== "").join("\n\n")}\n`;
}

function formatField(field: FieldDescription): string {
  const notes = [
    field.defaultValue === undefined ? undefined : `Default value: \`${field.defaultValue}\``,
    field.choices.length === 0 ? undefined : `Possible values: ${field.choices.map(code).join(", ")}`,
    field.limits.length === 0 ? undefined : `Range: ${field.limits.join(", ")}`,
  ];
  const sentences = [field.description, ...notes.filter((note) => note !== undefined)].filter(
    (text) => text !== "",
  );
  const text = sentences.map((sentence) => (sentence.endsWith(".") ? sentence : `${sentence}.`)).join(" ");
  return `- **\`${field.name}\`**${field.isRequired ? "*" : ""} (\`${field.type}\`)${text === "" ? "" : `: ${text}`}`;
}

function formatCurl(endpointId: string, { origin }: DocumentUrls, sample: unknown): string {
  const body = JSON.stringify(sample, null, 2).replaceAll("'", "'\\''");
  return [
    `curl --request POST "${origin}/run/${endpointId}" \\`,
    '  --header "Authorization: Key $FAL_KEY" \\',
    '  --header "Content-Type: application/json" \\',
    `  --data '${body}'`,
  ].join("\n");
}

function formatPython(endpointId: string, { origin }: DocumentUrls, sample: unknown): string {
  return [
    "import json, os, urllib.request",
    "",
    `body = ${formatPythonValue(sample)}`,
    "request = urllib.request.Request(",
    `    "${origin}/run/${endpointId}",`,
    "    data=json.dumps(body).encode(),",
    '    headers={"Authorization": "Key " + os.environ["FAL_KEY"], "Content-Type": "application/json"},',
    ")",
    "with urllib.request.urlopen(request) as response:",
    "    print(json.load(response))",
  ].join("\n");
}

/** JSON's texts and numbers read the same in Python; its words do not. */
function formatPythonValue(value: unknown, indent = ""): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}    `;
  const lines = Array.isArray(value)
    ? value.map((item) => `${inner}${formatPythonValue(item, inner)},\n`)
    : Object.entries(value).map(
        ([name, member]) => `${inner}${JSON.stringify(name)}: ${formatPythonValue(member, inner)},\n`,
      );
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  return lines.length === 0 ? `${open}${close}` : `${open}\n${lines.join("")}${indent}${close}`;
}

function formatJavaScript(endpointId: string, { origin }: DocumentUrls, sample: unknown): string {
  const input = JSON.stringify(sample, null, 2).replaceAll("\n", "\n  ");
  return [
    'import { createFalClient } from "@fal-ai/client";',
    "",
    "const fal = createFalClient({",
    "  credentials: process.env.FAL_KEY,",
    `  proxyUrl: { url: "${origin}/api/fal/proxy", when: "always" },`,
    "});",
    `const { data } = await fal.subscribe("${endpointId}", {`,
    `  input: ${input},`,
    "});",
    "console.log(data);",
  ].join("\n");
}

function code(text: string): string {
  return `\`${text}\``;
}

function fence(language: string, text: string): string {
  return `\`\`\`${language}\n${text}\n\`\`\``;
}
