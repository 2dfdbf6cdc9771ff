import type { Catalog } from "../../catalog/catalog.ts";
import type { DocumentUrls } from "./endpoint-document.ts";

/** `/llms.txt`: what this server offers and where to read about each endpoint. */
export function formatIndexText(catalog: Catalog, { origin, queue }: DocumentUrls): string {
  const endpoints = catalog.list().map(({ endpointId, manifest }) => {
    const { name, version } = manifest.model;
    const about = manifest.description === "" ? manifest.title : manifest.description;
    const answers = `answered by ${name} ${version}, license ${manifest.license ?? "not stated"}`;
    return `- [${endpointId}](${origin}/models/${endpointId}/llms.txt): ${about} (${manifest.category}; ${answers})`;
  });
  return [
    "# Sluice",
    "",
    "> A server of the fal model API: every endpoint below is run by this machine or the machines behind it. Calls need a key of this server.",
    "",
    `Run a request and wait for it: \`POST ${origin}/run/{endpoint_id}\`. Queue it: \`POST ${queue}/{endpoint_id}\`.`,
    "Send the input as a JSON object with the header `Authorization: Key id:secret`.",
    "",
    "## Endpoints",
    "",
    ...(endpoints.length === 0 ? ["None yet."] : endpoints),
    "",
    "## More",
    "",
    `- [Platform API](${origin}/v1/openapi.json): models, keys, requests, usage`,
    "",
  ].join("\n");
}
