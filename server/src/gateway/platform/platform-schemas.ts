/** JSON Schemas of what `/v1` takes and answers, for its OpenAPI document. */
export type Schema = Readonly<Record<string, unknown>>;

export const TEXT: Schema = { type: "string" };
export const NUMBER: Schema = { type: "number" };
export const COUNT: Schema = { type: "integer", minimum: 0 };
export const BOOLEAN: Schema = { type: "boolean" };
export const ID: Schema = { type: "string", format: "uuid" };
export const TIME: Schema = { type: "string", format: "date-time" };
export const FLAG: Schema = { type: "string", enum: ["true", "false"] };
export const LIST: Schema = { type: "array", items: TEXT, maxItems: 50 };
const MAYBE_TEXT: Schema = { type: ["string", "null"] };
const MAYBE_NUMBER: Schema = { type: ["number", "null"] };
const MAYBE_TIME: Schema = { type: ["string", "null"], format: "date-time" };
const ANY_OBJECT: Schema = { type: "object", additionalProperties: true };

export const PAGE_QUERY: Readonly<Record<string, Schema>> = {
  limit: { type: "integer", minimum: 1 },
  cursor: { type: "string", description: "`next_cursor` of the page before." },
};
export const PERIOD_QUERY: Readonly<Record<string, Schema>> = {
  start: { type: "string", description: "Date or date-time, part of the period." },
  end: { type: "string", description: "Date or date-time, not part of the period; default: now." },
};
export const BUCKET_QUERY: Readonly<Record<string, Schema>> = {
  timezone: { type: "string", default: "UTC" },
  timeframe: oneOf("minute", "hour", "day", "week", "month"),
  bound_to_timeframe: { ...FLAG, default: "true" },
};

export function oneOf(...values: readonly string[]): Schema {
  return { type: "string", enum: values };
}

/** An object; members whose name ends in `*` are required. */
export function object(members: Readonly<Record<string, Schema>>): Schema {
  const names = Object.keys(members);
  const required = names.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1));
  return {
    type: "object",
    ...(required.length === 0 ? {} : { required }),
    properties: Object.fromEntries(names.map((name) => [name.replace("*", ""), members[name]])),
  };
}

/** A page of a list. */
export function page(name: string, item: Schema): Schema {
  return object({
    [`${name}*`]: { type: "array", items: item },
    "next_cursor*": MAYBE_TEXT,
    "has_more*": BOOLEAN,
  });
}

/** Rows over time and in sum. */
export function series(row: Schema): Schema {
  return object({
    time_series: {
      type: "array",
      items: object({ "bucket*": TIME, "results*": { type: "array", items: row } }),
    },
    summary: { type: "array", items: row },
    "next_cursor*": MAYBE_TEXT,
    "has_more*": BOOLEAN,
  });
}

export const ERROR: Schema = object({
  "error*": object({
    "type*": oneOf(
      "authorization_error",
      "validation_error",
      "not_found",
      "rate_limited",
      "server_error",
      "not_implemented",
    ),
    "message*": TEXT,
  }),
});

export const MODEL: Schema = object({
  "endpoint_id*": TEXT,
  "metadata*": object({
    "display_name*": TEXT,
    "category*": TEXT,
    "description*": TEXT,
    "status*": oneOf("active", "deprecated"),
    "tags*": { type: "array", items: TEXT },
    "updated_at*": TIME,
    "date*": TIME,
    "is_favorited*": { type: ["boolean", "null"] },
    "thumbnail_url*": TEXT,
    "model_url*": TEXT,
    stream_url: TEXT,
    license_type: oneOf("commercial", "research", "private"),
    "highlighted*": BOOLEAN,
    kind: oneOf("inference", "training"),
    "pinned*": BOOLEAN,
    model: object({ "name*": TEXT, "version*": TEXT }),
    license: MAYBE_TEXT,
  }),
  openapi: ANY_OBJECT,
  enterprise_status: oneOf("ready", "pending"),
});

export const FINISHED_REQUEST: Schema = object({
  "request_id*": ID,
  "endpoint_id*": TEXT,
  "started_at*": TIME,
  "sent_at*": TIME,
  ended_at: TIME,
  status_code: COUNT,
  duration: { type: "number", description: "Seconds." },
  similarity: MAYBE_NUMBER,
  json_input: {},
  json_output: {},
});

export const USAGE: Schema = object({
  "endpoint_id*": TEXT,
  "unit*": TEXT,
  "quantity*": NUMBER,
  "unit_price*": NUMBER,
  "percent_discount*": NUMBER,
  "cost_subtotal*": NUMBER,
  "cost_discount*": NUMBER,
  "cost_total*": NUMBER,
  "cost*": NUMBER,
  "currency*": TEXT,
  auth_method: TEXT,
  auth_method_structured: object({ "detail*": TEXT, api_key_id: TEXT }),
});

export const BILLING_EVENT: Schema = object({
  "request_id*": ID,
  "endpoint_id*": TEXT,
  "timestamp*": TIME,
  "output_units*": NUMBER,
  "unit_price*": NUMBER,
  "percent_discount*": NUMBER,
  "cost_subtotal*": NUMBER,
  "cost_discount*": NUMBER,
  "cost_total*": NUMBER,
  "cost_estimate_nano_usd*": NUMBER,
});

export const KEY: Schema = object({
  "key_id*": ID,
  "alias*": TEXT,
  "scope*": oneOf("API", "ADMIN"),
  "created_at*": TIME,
  creator_nickname: TEXT,
});

const LIMIT: Schema = { type: ["integer", "null"], minimum: 1 };

export const KEY_LIMITS: Schema = object({
  concurrency: { ...LIMIT, description: "Requests running at once." },
  queued: { ...LIMIT, description: "Requests waiting at once." },
  requests_per_day: { ...LIMIT, description: "Requests in a day of UTC." },
  stored_bytes: { ...LIMIT, description: "Bytes of files kept by the key's account." },
});

export const SLUICE_KEY: Schema = object({
  "key_id*": ID,
  "alias*": TEXT,
  "scope*": oneOf("API", "ADMIN"),
  "account_id*": ID,
  "created_at*": TIME,
  "last_used_at*": MAYBE_TIME,
  "limits*": KEY_LIMITS,
  key: { type: "string", description: "id:secret; only in the answer that makes it." },
});

const DECISION: Schema = oneOf("allow", "forbid", "hide");

export const ACL: Schema = object({
  default: DECISION,
  rules: { type: "array", items: object({ "user*": TEXT, "decision*": DECISION }) },
});

export const FILE: Schema = object({
  "url*": TEXT,
  "signed_url*": {
    type: ["string", "null"],
    description: "Of a file that is not public: reads it for an hour without a key.",
  },
  "file_name*": TEXT,
  "content_type*": TEXT,
  "file_size*": COUNT,
  "kind*": oneOf("upload", "output"),
  "account_id*": ID,
  "request_id*": MAYBE_TEXT,
  "endpoint_id*": MAYBE_TEXT,
  "created_at*": TIME,
  "expires_at*": MAYBE_TIME,
  "width*": MAYBE_NUMBER,
  "height*": MAYBE_NUMBER,
});

/** URLs of files, as a call takes them. */
export const FILE_URLS: Schema = { type: "array", items: TEXT, minItems: 1, maxItems: 1000 };

/** Of the URLs that were given, those that name no file that the caller may see. */
export const MISSING: Schema = { type: "array", items: TEXT };

export const STORAGE_SETTINGS: Schema = object({
  expiration_duration_seconds: {
    type: ["integer", "null"],
    minimum: 0,
    description: "0: for ever; null: as the server is set.",
  },
  initial_acl: { anyOf: [ACL, { type: "null" }] },
});

export const QUEUE: Schema = object({
  "endpoint_id*": TEXT,
  "is_offered*": BOOLEAN,
  "queued*": COUNT,
  "running*": COUNT,
  "oldest_queued_at*": MAYBE_TIME,
  "ended_per_minute*": { type: "number", description: "Over the last five minutes." },
  "is_paused*": BOOLEAN,
});

const MAYBE_COUNT: Schema = { type: ["integer", "null"] };

export const MACHINE: Schema = object({
  "hostname*": TEXT,
  "is_drained*": BOOLEAN,
  "cpu*": object({
    "cores*": COUNT,
    "usage*": { ...MAYBE_NUMBER, description: "0 to 1 of all cores, since the look before." },
    "load_average*": NUMBER,
  }),
  "memory*": object({ "total_bytes*": COUNT, "available_bytes*": COUNT, "server_bytes*": COUNT }),
  "gpus*": {
    type: "array",
    items: object({
      "index*": COUNT,
      "name*": TEXT,
      "usage*": MAYBE_NUMBER,
      "memory_used_bytes*": MAYBE_COUNT,
      "memory_total_bytes*": MAYBE_COUNT,
      "temperature_celsius*": MAYBE_NUMBER,
    }),
  },
  "workers*": {
    type: "array",
    items: object({
      "pid*": MAYBE_COUNT,
      "model_file*": TEXT,
      "endpoint_ids*": { type: "array", items: TEXT },
      "state*": oneOf("starting", "idle", "busy"),
      "device*": { type: "string", description: "`cpu`, or `gpu:INDEX`." },
      "started_at*": TIME,
      "load_ms*": MAYBE_COUNT,
      "runs*": COUNT,
      "rss_bytes*": MAYBE_COUNT,
      "request*": {
        anyOf: [object({ "request_id*": ID, "endpoint_id*": TEXT, "since*": TIME }), { type: "null" }],
      },
    }),
  },
});

export const LEASE: Schema = object({
  "request_id*": ID,
  "endpoint_id*": TEXT,
  "runner_id*": MAYBE_TEXT,
  "attempt*": COUNT,
  "started_at*": MAYBE_TIME,
  "expires_at*": TIME,
});

export const INBOX_DELIVERY: Schema = object({
  "id*": ID,
  "received_at*": TIME,
  "request_id*": MAYBE_TEXT,
  "headers*": { type: "object", additionalProperties: TEXT },
  "body*": { ...MAYBE_TEXT, description: "Null when it is no UTF-8." },
  "body_base64*": { ...MAYBE_TEXT, description: "In place of a body that is no UTF-8." },
  "size_bytes*": { ...COUNT, description: "Of the body as it came." },
  "is_cut*": { type: "boolean", description: "True when the body was too long to be kept whole." },
});

export const SAMPLE: Schema = object({
  "endpoint_id*": TEXT,
  "state*": oneOf("none", "making", "ready", "failed"),
  "request_id*": MAYBE_TEXT,
  "input*": {},
  "output*": {},
  "inference_time*": MAYBE_NUMBER,
});

const PRICE_UNIT: Schema = oneOf("request", "second", "megapixel", "image");

export const NEW_PRICE: Schema = object({
  "unit*": PRICE_UNIT,
  "amount*": { type: "number", minimum: 0, maximum: 1_000_000, description: "US dollars for one unit." },
});

export const PRICE: Schema = object({
  "endpoint_id*": TEXT,
  "unit*": TEXT,
  "amount*": NUMBER,
  "currency*": TEXT,
  "is_set*": { type: "boolean", description: "False: the model's own price." },
});

export const USAGE_SUM: Schema = object({
  "bucket*": TIME,
  "endpoint_id*": TEXT,
  "account_id*": ID,
  "key_id*": MAYBE_TEXT,
  "key_alias*": MAYBE_TEXT,
  "request_count*": COUNT,
  "success_count*": COUNT,
  "seconds*": { type: "number", description: "Of the model alone." },
  "megapixels*": NUMBER,
  "unit*": TEXT,
  "quantity*": NUMBER,
  "unit_price*": NUMBER,
  "cost*": NUMBER,
});

export const INSTALLED_MODEL: Schema = object({
  "name*": TEXT,
  "title*": TEXT,
  "engine*": MAYBE_TEXT,
  "family*": MAYBE_TEXT,
  "license*": MAYBE_TEXT,
  "bytes*": COUNT,
  "source*": MAYBE_TEXT,
  "endpoint_ids*": { type: "array", items: TEXT },
  "version*": MAYBE_TEXT,
  "is_offered*": BOOLEAN,
  "problem*": MAYBE_TEXT,
});

const REQUEST_MEMBERS: Readonly<Record<string, Schema>> = {
  "request_id*": ID,
  "endpoint_id*": TEXT,
  "account_id*": ID,
  "key_id*": MAYBE_TEXT,
  "surface*": oneOf("queue", "run", "stream", "realtime"),
  "state*": oneOf("queued", "running", "succeeded", "failed", "cancelled"),
  "priority*": oneOf("normal", "low"),
  "created_at*": TIME,
  "started_at*": MAYBE_TIME,
  "ended_at*": MAYBE_TIME,
  "attempts*": COUNT,
  "is_cancel_requested*": BOOLEAN,
  "status_code*": { type: ["integer", "null"] },
  "error*": MAYBE_TEXT,
  "error_type*": MAYBE_TEXT,
  "billable_units*": MAYBE_NUMBER,
  "inference_time*": MAYBE_NUMBER,
  "tags*": { type: "object", additionalProperties: TEXT },
  input_excerpt: { ...MAYBE_TEXT, description: "The beginning of the prompt, else of the input." },
  json_input: {},
  json_output: {},
};

export const REQUEST: Schema = object(REQUEST_MEMBERS);

/** Requests in every state. */
export const REQUEST_PAGE: Schema = object({
  "requests*": { type: "array", items: REQUEST },
  "next_cursor*": MAYBE_TEXT,
  "has_more*": BOOLEAN,
  "searched_to*": {
    ...MAYBE_TIME,
    description:
      "Of a search by text that stopped before the page was full: how far it looked. The next page goes on there.",
  },
});

export const REQUEST_DETAIL: Schema = object({
  ...REQUEST_MEMBERS,
  "queue_position*": { type: ["integer", "null"] },
  "waiting*": {
    ...object({
      "reason*": oneOf("not_offered", "paused", "backing_off", "key_limit", "behind_others", "next"),
      "message*": TEXT,
      "requests_before*": COUNT,
      "requests_running*": COUNT,
      "until*": MAYBE_TIME,
    }),
    type: ["object", "null"],
    description: "Why it is not started yet; null for a request that does not wait.",
  },
  "timeline*": {
    type: "array",
    items: object({ "kind*": TEXT, "at*": TIME, "attempt*": COUNT, "data*": ANY_OBJECT }),
  },
  "logs*": {
    type: "array",
    items: object({
      "message*": TEXT,
      "level*": TEXT,
      "source*": TEXT,
      "timestamp*": TIME,
      "sequence*": COUNT,
      labels: ANY_OBJECT,
    }),
  },
});

export const DELIVERIES: Schema = object({
  "deliveries*": {
    type: "array",
    items: object({
      "request_id*": ID,
      "url*": TEXT,
      "state*": oneOf("owed", "delivered", "given_up"),
      "created_at*": TIME,
      "next_attempt_at*": MAYBE_TIME,
      "attempts*": {
        type: "array",
        items: object({
          "at*": TIME,
          "duration_ms*": COUNT,
          "status_code*": { type: ["integer", "null"] },
          "error*": MAYBE_TEXT,
        }),
      },
    }),
  },
});
