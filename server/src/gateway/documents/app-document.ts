import type { Catalog, CatalogEntry } from "../../catalog/catalog.ts";
import { createComponentSchemas, type EndpointNames } from "./component-schemas.ts";
import {
  API_KEY_AUTH,
  createEndpointMetadata,
  type DocumentUrls,
  describeJson,
  type OpenApiDocument,
} from "./endpoint-document.ts";

/**
 * The document of an app: all endpoints of one `[namespace/]owner/alias` as paths below it (fal model API, "OpenAPI:
 * app-level document"). Undefined when the catalog has no such app.
 */
export function createAppDocument(
  catalog: Catalog,
  app: string,
  urls: DocumentUrls,
): OpenApiDocument | undefined {
  const entries = catalog.list().filter((entry) => entry.app === app);
  const [first] = entries;
  if (first === undefined) return undefined;
  const { schemas, names } = createComponentSchemas(entries);
  const paths = entries.map((entry) => {
    const path = describePath(entry, names.get(entry.endpointId) ?? { input: "", output: "" });
    return [formatPath(entry), path] as const;
  });
  return {
    openapi: "3.0.4",
    info: {
      title: first.manifest.title,
      version: first.manifest.model.version,
      description: first.manifest.description,
      "x-fal-metadata": createEndpointMetadata(first, urls),
    },
    "x-fal-order-paths": paths.map(([path]) => path),
    paths: Object.fromEntries(paths),
    components: {
      securitySchemes: { apiKeyAuth: API_KEY_AUTH },
      schemas: {
        ...schemas,
        HTTPValidationError: HTTP_VALIDATION_ERROR,
        ValidationError: VALIDATION_ERROR,
      },
    },
    servers: [{ url: `${urls.origin}/run/${app}` }],
    security: [{ apiKeyAuth: [] }],
  };
}

/** Path of the endpoint below its app: `/` for `fal-ai/flux-pro`, `/dev` for `fal-ai/flux/dev`. */
function formatPath({ endpointId, app }: CatalogEntry): string {
  return endpointId === app ? "/" : endpointId.slice(app.length);
}

function describePath({ endpointId, manifest }: CatalogEntry, names: EndpointNames): OpenApiDocument {
  return {
    post: {
      summary: manifest.title,
      description: manifest.description,
      operationId: endpointId.replaceAll(/[^A-Za-z0-9]+/g, "_"),
      requestBody: {
        required: true,
        content: { "application/json": { schema: { $ref: `#/components/schemas/${names.input}` } } },
      },
      responses: {
        "200": describeJson("Successful Response", { $ref: `#/components/schemas/${names.output}` }),
        "422": describeJson("Validation Error", { $ref: "#/components/schemas/HTTPValidationError" }),
      },
    },
  };
}

const HTTP_VALIDATION_ERROR: OpenApiDocument = {
  title: "HTTPValidationError",
  type: "object",
  "x-fal-order-properties": ["detail"],
  properties: {
    detail: { title: "Detail", type: "array", items: { $ref: "#/components/schemas/ValidationError" } },
  },
};

const VALIDATION_ERROR: OpenApiDocument = {
  title: "ValidationError",
  type: "object",
  "x-fal-order-properties": ["loc", "msg", "type", "url", "ctx", "input"],
  required: ["loc", "msg", "type"],
  properties: {
    loc: { title: "Location", type: "array", items: { anyOf: [{ type: "string" }, { type: "integer" }] } },
    msg: { title: "Message", type: "string" },
    type: { title: "Error Type", type: "string" },
    url: { title: "Url", type: "string" },
    ctx: { title: "Context", type: "object" },
    input: { title: "Input" },
  },
};
