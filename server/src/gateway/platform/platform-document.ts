import { API_KEY_AUTH, type OpenApiDocument } from "../documents/endpoint-document.ts";
import * as schemas from "./platform-schemas.ts";

const MACHINES = schemas.object({ "machines*": { type: "array", items: schemas.MACHINE } });

/** Path by path, what `/v1` offers. A test holds it against the routes. */
const OPERATIONS: readonly Operation[] = [
  {
    path: "/models",
    method: "get",
    summary: "List and search the endpoints of this server",
    access: "public",
    query: {
      ...schemas.PAGE_QUERY,
      endpoint_id: schemas.LIST,
      q: schemas.TEXT,
      category: schemas.TEXT,
      status: schemas.oneOf("active", "deprecated"),
      expand: schemas.oneOf("openapi-3.0", "enterprise_status"),
    },
    answer: schemas.page("models", schemas.MODEL),
  },
  {
    path: "/models/pricing",
    method: "get",
    summary: "Prices of endpoints",
    access: "API",
    query: { ...schemas.PAGE_QUERY, "endpoint_id*": schemas.LIST },
    answer: schemas.page(
      "prices",
      schemas.object({
        "endpoint_id*": schemas.TEXT,
        "unit_price*": schemas.NUMBER,
        "unit*": schemas.TEXT,
        "currency*": schemas.TEXT,
      }),
    ),
  },
  {
    path: "/models/pricing/estimate",
    method: "post",
    summary: "Estimate what calls will cost",
    access: "API",
    body: schemas.object({
      "estimate_type*": schemas.oneOf("historical_api_price", "unit_price"),
      "endpoints*": {
        type: "object",
        additionalProperties: schemas.object({ call_quantity: schemas.COUNT, unit_quantity: schemas.NUMBER }),
      },
    }),
    answer: schemas.object({
      "estimate_type*": schemas.TEXT,
      "total_cost*": schemas.NUMBER,
      "currency*": schemas.TEXT,
    }),
  },
  {
    path: "/models/requests/by-endpoint",
    method: "get",
    summary: "Finished requests of endpoints",
    access: "API",
    query: {
      ...schemas.PAGE_QUERY,
      ...schemas.PERIOD_QUERY,
      "endpoint_id*": schemas.LIST,
      status: schemas.oneOf("success", "error", "user_error"),
      request_id: schemas.ID,
      expand: schemas.oneOf("payloads"),
      sort_by: schemas.oneOf("ended_at", "duration"),
    },
    answer: schemas.page("items", schemas.FINISHED_REQUEST),
  },
  {
    path: "/models/requests/search",
    method: "get",
    summary: "Finished requests of all endpoints by filters; searching by meaning answers 501",
    access: "API",
    query: {
      ...schemas.PAGE_QUERY,
      ...schemas.PERIOD_QUERY,
      endpoint_id: schemas.LIST,
      status: schemas.oneOf("success", "error", "user_error"),
      exclude_api_requests: schemas.FLAG,
      only_api_requests: schemas.FLAG,
    },
    answer: schemas.page("results", schemas.FINISHED_REQUEST),
  },
  {
    path: "/models/requests/{request_id}/payloads",
    method: "delete",
    summary: "Remove the stored input, output and output files of a finished request",
    access: "ADMIN",
    answer: schemas.object({
      "cdn_delete_results*": {
        type: "array",
        items: schemas.object({ "link*": schemas.TEXT, "exception*": { type: ["string", "null"] } }),
      },
    }),
  },
  {
    path: "/models/usage",
    method: "get",
    summary: "Units and cost by endpoint over time",
    access: "ADMIN",
    query: {
      ...schemas.PERIOD_QUERY,
      ...schemas.BUCKET_QUERY,
      endpoint_id: schemas.LIST,
      api_key_id: schemas.LIST,
      login_username: schemas.LIST,
      expand: schemas.oneOf("time_series", "summary", "auth_method", "auth_method_structured"),
    },
    answer: schemas.series(schemas.USAGE),
  },
  {
    path: "/models/analytics",
    method: "get",
    summary: "Counts and durations of finished requests over time",
    access: "API",
    query: {
      ...schemas.PERIOD_QUERY,
      ...schemas.BUCKET_QUERY,
      "endpoint_id*": schemas.LIST,
      "expand*": schemas.LIST,
    },
    answer: schemas.series({
      type: "object",
      required: ["endpoint_id"],
      properties: { endpoint_id: schemas.TEXT },
      additionalProperties: { type: ["number", "null"] },
    }),
  },
  {
    path: "/models/billing-events",
    method: "get",
    summary: "What each successful request cost",
    access: "ADMIN",
    query: { ...schemas.PAGE_QUERY, ...schemas.PERIOD_QUERY, endpoint_id: schemas.LIST },
    answer: schemas.page("billing_events", schemas.BILLING_EVENT),
  },
  {
    path: "/keys",
    method: "get",
    summary: "Keys of this server",
    access: "ADMIN",
    query: { ...schemas.PAGE_QUERY, expand: schemas.oneOf("creator_info") },
    answer: schemas.page("keys", schemas.KEY),
  },
  {
    path: "/keys",
    method: "post",
    summary: "Make a key; its secret is shown this once",
    access: "ADMIN",
    body: schemas.object({
      "alias*": { type: "string", minLength: 1, maxLength: 255 },
      scope: { ...schemas.oneOf("API", "ADMIN"), default: "API" },
    }),
    status: 201,
    answer: schemas.object({
      "key_id*": schemas.TEXT,
      "key_secret*": schemas.TEXT,
      "key*": { type: "string", description: "id:secret" },
    }),
  },
  { path: "/keys/{key_id}", method: "delete", summary: "Revoke a key at once", access: "ADMIN", status: 204 },
  {
    path: "/meta",
    method: "get",
    summary: "What callers should know about this server's network",
    access: "public",
    answer: schemas.object({ "webhook_ip_ranges*": { type: "array", items: schemas.TEXT } }),
  },
  {
    path: "/account/billing",
    method: "get",
    summary: "The caller's account",
    access: "ADMIN",
    query: { expand: schemas.oneOf("credits") },
    answer: schemas.object({ "username*": schemas.TEXT }),
  },
  {
    path: "/serverless/apps/{owner}/{name}/queue",
    method: "get",
    summary: "Requests that wait for an app",
    access: "ADMIN",
    answer: schemas.object({ "queue_size*": schemas.COUNT }),
  },
  {
    path: "/serverless/apps/{owner}/{name}/queue",
    method: "delete",
    summary: "Cancel all requests that wait for an app",
    access: "ADMIN",
    status: 204,
  },
  {
    path: "/storage/files/acl",
    method: "get",
    summary: "Who may read a file",
    access: "API",
    query: { "url*": schemas.TEXT },
    answer: schemas.ACL,
  },
  {
    path: "/storage/files/acl",
    method: "put",
    summary: "Replace who may read a file",
    access: "API",
    query: { "url*": schemas.TEXT },
    body: schemas.ACL,
    answer: schemas.ACL,
  },
  {
    path: "/storage/files/sign",
    method: "post",
    summary: "A URL that reads a file until it expires",
    access: "API",
    query: { "url*": schemas.TEXT },
    body: schemas.object({ "expiration_seconds*": { type: "integer", minimum: 1, maximum: 604_800 } }),
    answer: schemas.object({ "signed_url*": schemas.TEXT }),
  },
  {
    path: "/sluice/files",
    method: "get",
    summary: "Outputs and uploads: all accounts' for scope ADMIN, else the caller's",
    access: "API",
    query: {
      ...schemas.PAGE_QUERY,
      ...schemas.PERIOD_QUERY,
      q: { type: "string", maxLength: 200, description: "Part of the file's name." },
      kind: schemas.oneOf("upload", "output"),
      media: schemas.oneOf("image", "video", "audio", "other"),
      endpoint_id: schemas.LIST,
      request_id: schemas.ID,
      expires: { ...schemas.FLAG, description: "Only files that expire, or only files that do not." },
      expires_before: schemas.TIME,
    },
    answer: schemas.page("files", schemas.FILE),
  },
  {
    path: "/sluice/files/delete",
    method: "post",
    summary: "Delete files for good",
    access: "API",
    body: schemas.object({ "urls*": schemas.FILE_URLS }),
    answer: schemas.object({ "deleted*": schemas.COUNT, "missing*": schemas.MISSING }),
  },
  {
    path: "/sluice/files/expiry",
    method: "post",
    summary: "Set when files expire",
    access: "API",
    body: schemas.object({
      "urls*": schemas.FILE_URLS,
      "expires_in_seconds*": {
        type: ["integer", "null"],
        minimum: 1,
        description: "Counted from now; null: never.",
      },
    }),
    answer: schemas.object({
      "files*": { type: "array", items: schemas.FILE },
      "missing*": schemas.MISSING,
    }),
  },
  {
    path: "/sluice/files/archives",
    method: "post",
    summary: "A link that downloads many files as one ZIP, for an hour",
    access: "API",
    body: schemas.object({ "urls*": schemas.FILE_URLS }),
    status: 201,
    answer: schemas.object({
      "url*": schemas.TEXT,
      "expires_at*": schemas.TIME,
      "files*": schemas.COUNT,
      "missing*": schemas.MISSING,
    }),
  },
  {
    path: "/sluice/files/archives/{archive_id}",
    method: "get",
    summary: "The ZIP of the chosen files",
    access: "public",
  },
  {
    path: "/sluice/keys",
    method: "get",
    summary: "Keys of this server with their limits and last use, newest first",
    access: "ADMIN",
    query: schemas.PAGE_QUERY,
    answer: schemas.page("keys", schemas.SLUICE_KEY),
  },
  {
    path: "/sluice/keys",
    method: "post",
    summary: "Make a key with limits; its secret is shown this once",
    access: "ADMIN",
    body: schemas.object({
      "alias*": { type: "string", minLength: 1, maxLength: 255 },
      scope: { ...schemas.oneOf("API", "ADMIN"), default: "API" },
      limits: schemas.KEY_LIMITS,
    }),
    status: 201,
    answer: schemas.SLUICE_KEY,
  },
  {
    path: "/sluice/keys/{key_id}",
    method: "patch",
    summary: "Change a key's name or all of its limits; one that is left out is lifted",
    access: "ADMIN",
    body: schemas.object({
      alias: { type: "string", minLength: 1, maxLength: 255 },
      limits: schemas.KEY_LIMITS,
    }),
    answer: schemas.SLUICE_KEY,
  },
  {
    path: "/storage/settings",
    method: "get",
    summary: "What new files of the account get where a call says nothing",
    access: "API",
    answer: schemas.STORAGE_SETTINGS,
  },
  {
    path: "/storage/settings",
    method: "put",
    summary: "Replace what new files of the account get; what is left out is cleared",
    access: "API",
    body: schemas.STORAGE_SETTINGS,
    answer: schemas.STORAGE_SETTINGS,
  },
  {
    path: "/sluice/queues",
    method: "get",
    summary: "Depth, oldest wait and running count of every endpoint",
    access: "ADMIN",
    answer: schemas.object({ "queues*": { type: "array", items: schemas.QUEUE } }),
  },
  ...(["pause", "resume"] as const).map(
    (action): Operation => ({
      path: `/sluice/queues/{endpoint_id}/${action}`,
      method: "post",
      summary:
        action === "pause" ? "Let an endpoint's requests wait" : "Let an endpoint's requests start again",
      access: "ADMIN",
      answer: schemas.object({ "endpoint_id*": schemas.TEXT, "is_paused*": schemas.BOOLEAN }),
    }),
  ),
  {
    path: "/sluice/queues/{endpoint_id}/flush",
    method: "post",
    summary: "Cancel all requests that wait for an endpoint",
    access: "ADMIN",
    answer: schemas.object({ "endpoint_id*": schemas.TEXT, "flushed*": schemas.COUNT }),
  },
  {
    path: "/sluice/models",
    method: "get",
    summary: "Open models that are installed on this machine, with the endpoints that they answer",
    access: "ADMIN",
    answer: schemas.object({ "models*": { type: "array", items: schemas.INSTALLED_MODEL } }),
  },
  {
    path: "/sluice/requests",
    method: "get",
    summary: "Requests of all endpoints in every state: all accounts' for scope ADMIN, else the caller's",
    access: "API",
    query: {
      ...schemas.PAGE_QUERY,
      ...schemas.PERIOD_QUERY,
      endpoint_id: schemas.LIST,
      state: schemas.oneOf("queued", "running", "succeeded", "failed", "cancelled"),
      status: schemas.oneOf("success", "error", "user_error"),
      request_id: schemas.ID,
      key_id: schemas.ID,
      q: {
        type: "string",
        maxLength: 200,
        description:
          "Part of the input, the error, the tags or the id. A page looks through at most 2,000 requests of the other filters.",
      },
      expand: schemas.oneOf("payloads", "excerpt"),
      sort_by: schemas.oneOf("created_at", "ended_at", "duration"),
    },
    answer: schemas.REQUEST_PAGE,
  },
  {
    path: "/sluice/requests/{request_id}",
    method: "get",
    summary: "One request with its timeline and logs",
    access: "API",
    query: {
      expand: schemas.oneOf("payloads"),
      logs_after: { ...schemas.COUNT, description: "Only log lines after the one of this sequence." },
    },
    answer: schemas.REQUEST_DETAIL,
  },
  {
    path: "/sluice/requests/{request_id}/deliveries",
    method: "get",
    summary: "The webhook deliveries of a request, with every attempt",
    access: "API",
    answer: schemas.DELIVERIES,
  },
  {
    path: "/sluice/requests/{request_id}/deliveries",
    method: "post",
    summary: "Deliver the webhook of a request again",
    access: "API",
    status: 202,
    answer: schemas.DELIVERIES,
  },
  {
    path: "/sluice/workers",
    method: "get",
    summary: "The machine that runs models: processors, memory, GPUs, workers and what each does",
    access: "ADMIN",
    answer: MACHINES,
  },
  {
    path: "/sluice/workers/drain",
    method: "post",
    summary:
      "Let the machine finish what runs and begin nothing new, until it is resumed or the server starts again",
    access: "ADMIN",
    answer: MACHINES,
  },
  {
    path: "/sluice/workers/resume",
    method: "post",
    summary: "Let a drained machine take work again",
    access: "ADMIN",
    answer: MACHINES,
  },
  {
    path: "/sluice/leases",
    method: "get",
    summary: "Who holds which running request, and until when",
    access: "ADMIN",
    query: { limit: { type: "integer", minimum: 1, maximum: 1_000 } },
    answer: schemas.object({ "leases*": { type: "array", items: schemas.LEASE } }),
  },
  {
    path: "/sluice/usage",
    method: "get",
    summary: "Ended requests by time, endpoint and key, with seconds, megapixels and cost by today's prices",
    access: "API",
    query: { ...schemas.PERIOD_QUERY, timeframe: schemas.oneOf("hour", "day") },
    answer: schemas.object({
      "timeframe*": schemas.TEXT,
      "currency*": schemas.TEXT,
      "usage*": { type: "array", items: schemas.USAGE_SUM },
    }),
  },
  {
    path: "/sluice/prices",
    method: "get",
    summary: "The price of every endpoint: the operator's, else the model's own",
    access: "ADMIN",
    answer: schemas.object({ "prices*": { type: "array", items: schemas.PRICE } }),
  },
  {
    path: "/sluice/prices/{endpoint_id}",
    method: "put",
    summary: "Set the price of an endpoint's requests",
    access: "ADMIN",
    body: schemas.NEW_PRICE,
    answer: schemas.PRICE,
  },
  {
    path: "/sluice/prices/{endpoint_id}",
    method: "delete",
    summary: "Let the model's own price count again",
    access: "ADMIN",
    status: 204,
  },
  {
    path: "/sluice/inbox",
    method: "get",
    summary: "The account's own receiver of webhooks on this server, for development, and what came in",
    access: "API",
    query: schemas.PAGE_QUERY,
    answer: schemas.object({
      "url*": { type: "string", description: "What to give as a webhook." },
      "max_deliveries*": schemas.COUNT,
      "max_body_bytes*": schemas.COUNT,
      "deliveries*": { type: "array", items: schemas.INBOX_DELIVERY },
      "next_cursor*": { type: ["string", "null"] },
      "has_more*": schemas.BOOLEAN,
    }),
  },
  {
    path: "/sluice/inbox",
    method: "delete",
    summary: "Forget the deliveries that came in",
    access: "API",
    status: 204,
  },
  {
    path: "/sluice/inbox/{token}",
    method: "post",
    summary: "Receive a webhook",
    access: "public",
    answer: schemas.object({ "status*": schemas.oneOf("received") }),
  },
  {
    path: "/sluice/samples",
    method: "get",
    summary: "What each endpoint's model made on this server from the sample input of its page",
    access: "public",
    answer: schemas.object({ "samples*": { type: "array", items: schemas.SAMPLE } }),
  },
  {
    path: "/sluice/events",
    method: "get",
    summary:
      "All that a page shows as one stream of server-sent events: what changed, and status, logs, steps and previews of the requests that it watches",
    access: "API",
    query: { watch: { ...schemas.LIST, description: "Ids of requests to follow." } },
  },
  {
    path: "/sluice/events/{stream_id}",
    method: "put",
    summary: "Choose the requests that a stream follows",
    access: "API",
    body: schemas.object({ "watch*": schemas.LIST }),
    answer: schemas.object({ "watching*": schemas.LIST }),
  },
  {
    path: "/sluice/session",
    method: "get",
    summary: "Who calls",
    access: "API",
    answer: schemas.object({
      "key_id*": { type: ["string", "null"] },
      "alias*": { type: ["string", "null"] },
      "scope*": schemas.oneOf("API", "ADMIN"),
      "account_id*": schemas.ID,
    }),
  },
  {
    path: "/sluice/session",
    method: "post",
    summary: "Sign a page of this server in: a cookie, and a secret for the header x-sluice-session",
    access: "API",
    status: 201,
    answer: schemas.object({
      "secret*": schemas.TEXT,
      "key_id*": { type: ["string", "null"] },
      "scope*": schemas.oneOf("API", "ADMIN"),
      "expires_at*": schemas.TEXT,
    }),
  },
  {
    path: "/sluice/session",
    method: "delete",
    summary: "Sign the page out",
    access: "public",
    status: 204,
  },
  {
    path: "/openapi.json",
    method: "get",
    summary: "This document",
    access: "public",
    answer: { type: "object" },
  },
];

interface Operation {
  /** Below `/v1`. */
  readonly path: string;
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  readonly summary: string;
  readonly access: "public" | "API" | "ADMIN";
  /** A name that ends in `*` is required. */
  readonly query?: Readonly<Record<string, schemas.Schema>>;
  readonly body?: schemas.Schema;
  /** Of success; default 200. */
  readonly status?: number;
  readonly answer?: schemas.Schema;
}

/** The OpenAPI document of `/v1`. */
export function createPlatformDocument(origin: string, version: string): OpenApiDocument {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const operation of OPERATIONS) {
    const { path, method } = operation;
    paths[path] = { ...paths[path], [method]: describeOperation(operation) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Sluice platform API",
      version,
      description: "Models, prices, keys, requests, usage and queues of this server.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: `${origin}/v1` }],
    security: [{ apiKeyAuth: [] }],
    paths,
    components: {
      securitySchemes: { apiKeyAuth: API_KEY_AUTH },
      schemas: { Error: schemas.ERROR },
    },
  };
}

function describeOperation(operation: Operation): OpenApiDocument {
  const { path, method, summary, access, query = {}, body, status = 200, answer } = operation;
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  const inQuery = Object.entries(query).map(([name, schema]) => ({
    name: name.replace("*", ""),
    in: "query",
    required: name.endsWith("*"),
    schema,
  }));
  const error = { description: "Refused.", content: json({ $ref: "#/components/schemas/Error" }) };
  return {
    operationId: `${method}${path.replaceAll(/[^A-Za-z0-9]+(\w?)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary,
    description:
      access === "public"
        ? "Needs no key."
        : `Needs a key of scope ${access === "ADMIN" ? "ADMIN" : "API or ADMIN"}.`,
    ...(access === "public" ? { security: [] } : {}),
    parameters: [...inPath, ...inQuery],
    ...(body === undefined ? {} : { requestBody: { required: true, content: json(body) } }),
    responses: {
      [status]: { description: "Success.", ...(answer === undefined ? {} : { content: json(answer) }) },
      default: error,
    },
  };
}

function json(schema: unknown): OpenApiDocument {
  return { "application/json": { schema } };
}
