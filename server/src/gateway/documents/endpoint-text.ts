import * as snippets from "@sluice/protocol/snippets";
import type { CatalogEntry } from "../../catalog/catalog.ts";
import { describeFields, describeTypes, type FieldDescription } from "./describe-fields.ts";
import type { DocumentUrls } from "./endpoint-document.ts";
import { createSampleInput } from "./sample-input.ts";
import { createSampleOutput } from "./sample-output.ts";

/**
 * `/models/{endpoint_id}/llms.txt`: all that the API page of the endpoint says, in its order, as Markdown for programs
 * and people; from the schemas and the description of the model alone.
 */
export function formatEndpointText(entry: CatalogEntry, urls: DocumentUrls): string {
  const { endpointId, manifest } = entry;
  const { origin } = urls;
  const call = { origin, endpointId, input: createSampleInput(entry) };
  const parts: Part[] = [
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
    ...formatCalling(call),
    "## 2. Authentication",
    "Every call carries a key of this server in a header. A missing or unknown key is answered with 401.",
    fence("http", "Authorization: Key id:secret"),
    "Keep keys out of pages and apps that you give to others: whoever has the key can use this server. Let your own server make the calls, for example with `@sluice/proxy`.",
    ...formatFiles(entry, call),
    ...formatSchema(entry),
  ];
  const paragraphs = parts.map((part) => (typeof part === "string" ? part : part.flat().join("\n")));
  return `${paragraphs.filter((text) => text !== "").join("\n\n")}\n`;
}

/** A paragraph, or lines that stand together. */
type Part = string | readonly (string | readonly string[])[];

function formatCalling(call: snippets.CodeCall): readonly Part[] {
  const { origin, endpointId } = call;
  return [
    "## 1. Calling the API",
    "### Install the client",
    "The official client works with this server; two lines of configuration point it here. Python, cURL and the command line need nothing.",
    fence("bash", "npm install @fal-ai/client"),
    "Ours takes the place of either official client, knows this server's endpoints by type, and is here without any registry:",
    fence("bash", `npm install ${origin}/client.tgz`),
    "### Set the key",
    "A key looks like `id:secret`; `sluice keys create` makes one. Programs read it from `FAL_KEY`.",
    fence("bash", 'export FAL_KEY="id:secret"'),
    "### Submit a request and wait for its result",
    ...snippets.CODE_LANGUAGES.flatMap(({ id, name, format }) => [
      `#### ${name}`,
      fence(FENCES[id], format(call)),
    ]),
    "### The queue, call by call",
    "A submit answers at once; the request is the server's from then on. Ask for its status, or let a webhook tell you.",
    "Submit:",
    fence("bash", snippets.formatSubmit(call)),
    "Status, `IN_QUEUE`, `IN_PROGRESS` or `COMPLETED`:",
    fence("bash", snippets.formatStatus(call)),
    "Result:",
    fence("bash", snippets.formatResult(call)),
    "Cancel:",
    fence("bash", snippets.formatCancel(call)),
    "### Webhooks",
    `With \`fal_webhook\` the result is delivered to an address of yours, signed; the public keys are at \`${origin}/.well-known/jwks.json\`.`,
    fence("bash", snippets.formatWebhook(call)),
    "### Streaming",
    "Server-sent events: previews while the request runs, the whole output last.",
    fence("bash", snippets.formatStream(call)),
    "### Realtime",
    `One WebSocket for many inputs, each answered by its output: \`/run/${endpointId}/realtime\`. Pages use a temporary token in place of the key.`,
    fence("javascript", snippets.formatRealtime(call)),
  ];
}

const FENCES: Readonly<Record<snippets.CodeLanguage["id"], string>> = {
  javascript: "javascript",
  sluice: "javascript",
  typescript: "typescript",
  python: "python",
  curl: "bash",
  cli: "bash",
};

function formatFiles({ manifest }: CatalogEntry, call: snippets.CodeCall): readonly Part[] {
  const fields = describeFields(manifest.input).filter(({ isFile }) => isFile);
  const takers =
    fields.length === 0
      ? "This endpoint takes no files. Where one does, its fields take"
      : `The fields ${fields.map(({ name }) => code(name)).join(", ")} take`;
  return [
    "## 3. Files",
    `${takers} a data URI, the URL of a hosted file, or the URL of a file that was uploaded before. Clients upload \`File\` and \`Blob\` values in an input by themselves.`,
    fence("javascript", snippets.formatUpload(call)),
  ];
}

function formatSchema(entry: CatalogEntry): readonly Part[] {
  const { input, output } = entry.manifest;
  const types = new Map([...describeTypes(input), ...describeTypes(output)]);
  return [
    "## 4. Schema",
    "Fields marked with * are required.",
    "### Input",
    "A JSON object; fields that are not listed are ignored.",
    formatFields(describeFields(input)),
    "### Input example",
    fence("json", JSON.stringify(createSampleInput(entry), null, 2)),
    "### Output",
    formatFields(describeFields(output)),
    "### Output example",
    ...formatOutputExample(entry),
    ...[...types].flatMap(([name, fields]) => [`### ${name}`, formatFields(fields)]),
  ];
}

function formatOutputExample(entry: CatalogEntry): readonly Part[] {
  const example = entry.manifest.examples.find(({ output }) => output !== undefined);
  return example === undefined
    ? [
        "The form of an output; the values are made from the schema, not by the model:",
        fence("json", JSON.stringify(createSampleOutput(entry.manifest.output), null, 2)),
      ]
    : [fence("json", JSON.stringify(example.output, null, 2))];
}

function formatFields(fields: readonly FieldDescription[]): Part {
  return fields.length === 0 ? "No fields are described." : fields.map(formatField);
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

function code(text: string): string {
  return `\`${text}\``;
}

function fence(language: string, text: string): string {
  return `\`\`\`${language}\n${text}\n\`\`\``;
}
