import type { CatalogEntry } from "../../catalog/catalog.ts";
import { createComponentSchemas } from "./component-schemas.ts";

/** Where the callers of a document find this server. No trailing slashes. */
export interface DocumentUrls {
  /** `http://127.0.0.1:7777` */
  readonly origin: string;
  /** `http://127.0.0.1:7777/queue` */
  readonly queue: string;
}

/** An OpenAPI document as data. */
export type OpenApiDocument = Readonly<Record<string, unknown>>;

/** The queue document of one endpoint (fal model API, "OpenAPI: per-endpoint queue document"). */
export function createEndpointDocument(entry: CatalogEntry, urls: DocumentUrls): OpenApiDocument {
  const { endpointId } = entry;
  const { schemas, names } = createComponentSchemas([entry]);
  const { input, output } = names.get(endpointId) ?? { input: "", output: "" };
  const requests = `/${endpointId}/requests/{request_id}`;
  const status = { $ref: "#/components/schemas/QueueStatus" };
  return {
    openapi: "3.0.4",
    info: {
      title: `Queue OpenAPI for ${endpointId}`,
      version: "1.0.0",
      description: `The OpenAPI schema for the ${endpointId} queue.`,
      "x-fal-metadata": createEndpointMetadata(entry, urls),
    },
    components: {
      securitySchemes: { apiKeyAuth: API_KEY_AUTH },
      schemas: { QueueStatus: QUEUE_STATUS, ...schemas },
    },
    paths: {
      [`${requests}/status`]: {
        get: {
          parameters: [
            REQUEST_ID,
            {
              name: "logs",
              in: "query",
              required: false,
              schema: {
                type: "number",
                description: "Whether to include logs (`1`) in the response or not (`0`).",
              },
            },
          ],
          responses: { "200": describeJson("The request status.", status) },
        },
      },
      [`${requests}/cancel`]: {
        put: {
          parameters: [REQUEST_ID],
          responses: {
            "200": describeJson("The request was cancelled.", {
              type: "object",
              properties: {
                success: { type: "boolean", description: "Whether the request was cancelled successfully." },
              },
            }),
          },
        },
      },
      [`/${endpointId}`]: {
        post: {
          requestBody: {
            required: true,
            content: { "application/json": { schema: { $ref: `#/components/schemas/${input}` } } },
          },
          responses: { "200": describeJson("The request status.", status) },
        },
      },
      [requests]: {
        get: {
          parameters: [REQUEST_ID],
          responses: {
            "200": describeJson("Result of the request.", { $ref: `#/components/schemas/${output}` }),
          },
        },
      },
    },
    servers: [{ url: urls.queue }],
    security: [{ apiKeyAuth: [] }],
  };
}

/** `x-fal-metadata` of a document. */
export function createEndpointMetadata(
  { endpointId, manifest }: CatalogEntry,
  { origin }: DocumentUrls,
): Readonly<Record<string, unknown>> {
  const page = `${origin}/models/${endpointId}`;
  return {
    endpointId,
    category: manifest.category,
    thumbnailUrl: "",
    playgroundUrl: page,
    documentationUrl: `${page}/api`,
    about: manifest.description,
    model: manifest.model,
    license: manifest.license,
  };
}

export const API_KEY_AUTH: OpenApiDocument = {
  type: "apiKey",
  in: "header",
  name: "Authorization",
  description: "Fal Key",
};

export function describeJson(description: string, schema: unknown): OpenApiDocument {
  return { description, content: { "application/json": { schema } } };
}

const REQUEST_ID: OpenApiDocument = {
  name: "request_id",
  in: "path",
  required: true,
  schema: { type: "string", description: "Request ID" },
};

const QUEUE_STATUS: OpenApiDocument = {
  type: "object",
  required: ["status", "request_id"],
  properties: {
    status: { type: "string", enum: ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"] },
    request_id: { type: "string", description: "The request id." },
    response_url: { type: "string", description: "The response url." },
    status_url: { type: "string", description: "The status url." },
    cancel_url: { type: "string", description: "The cancel url." },
    // Arrays are sent; the hosted document says object, and tools are built on it.
    logs: { type: "object", description: "The logs.", additionalProperties: true },
    metrics: { type: "object", description: "The metrics.", additionalProperties: true },
    queue_position: { type: "integer", description: "The queue position." },
  },
};
