import { isLoopbackHost } from "./loopback-host.ts";

/**
 * Every setting in one table: it feeds the parser, `--help` and the reference page. Settings are read once, at
 * the edge, into one frozen object. Nothing else reads the environment.
 */
export interface SettingRow {
  /** Name in code. */
  readonly name: keyof Settings;
  /** `SLUICE_…`. */
  readonly variable: string;
  readonly kind: "string" | "integer" | "boolean" | "bytes" | "duration" | "list";
  /** Text as it would be written in the environment; null when unset. */
  readonly fallback: string | null;
  readonly help: string;
  /** Command-line flag of `sluice serve`, when it has one. */
  readonly flag?: string;
}

export interface Settings {
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  readonly publicUrl: string | null;
  readonly baseDomain: string | null;
  readonly tlsCert: string | null;
  readonly tlsKey: string | null;
  /** CIDRs whose `X-Forwarded-*` are believed. */
  readonly trustedProxies: readonly string[];
  readonly databaseUrl: string | null;
  readonly storageUrl: string | null;
  readonly models: readonly string[];
  /** Folder of pulled models; null: `models` in the data folder. */
  readonly weightsDir: string | null;
  /** Origin of the hub that models are pulled from, or of a mirror. */
  readonly hubUrl: string;
  /** Nothing is fetched from the hub. */
  readonly isOffline: boolean;
  readonly logLevel: string;
  readonly threads: number;
  readonly maxBodyBytes: number;
  readonly maxUploadBytes: number;
  readonly leaseMs: number;
  readonly resultRetentionMs: number;
  readonly fileRetentionMs: number | null;
  readonly minFreeBytes: number;
  readonly drainMs: number;
  readonly realtimeIdleMs: number;
  /** URL inputs may be fetched from private addresses. */
  readonly allowPrivateInputs: boolean;
  /** Null: on while the server listens on loopback only. */
  readonly webhookAllowPrivate: boolean | null;
  readonly anonymousResultById: boolean;
  /** Answer 200 {"status":"OK"} instead of 202 when a queued request is cancelled. */
  readonly cancelAnswersOk: boolean;
  /** Only the hosted service's fields in answers: no `message` beside `detail`. */
  readonly strict: boolean;
  readonly maxSafetyTolerance: number;
  readonly safetyAction: "blank" | "flag" | "reject";
  readonly modelSettings: Readonly<Record<string, string>>;
}

const row = (
  name: keyof Settings,
  variable: string,
  kind: SettingRow["kind"],
  fallback: string | null,
  help: string,
  flag?: string,
): SettingRow => ({ name, variable, kind, fallback, help, ...(flag === undefined ? {} : { flag }) });

export const SETTINGS: readonly SettingRow[] = [
  row("host", "SLUICE_HOST", "string", "127.0.0.1", "Address to listen on.", "--host"),
  row("port", "SLUICE_PORT", "integer", "7777", "Port to listen on; 0 picks a free one.", "--port"),
  row(
    "dataDir",
    "SLUICE_DATA",
    "string",
    ".sluice",
    "Folder of the embedded database, files and keys.",
    "--data",
  ),
  row(
    "publicUrl",
    "SLUICE_PUBLIC_URL",
    "string",
    null,
    "Origin that callers reach this server by; used in every URL it hands out.",
    "--public-url",
  ),
  row(
    "baseDomain",
    "SLUICE_BASE_DOMAIN",
    "string",
    null,
    "Domain under which queue., run., ws., rest., cdn. and api. name the surfaces.",
  ),
  row(
    "tlsCert",
    "SLUICE_TLS_CERT",
    "string",
    null,
    "PEM file with the certificate chain; with the key, the server speaks https.",
    "--tls-cert",
  ),
  row("tlsKey", "SLUICE_TLS_KEY", "string", null, "PEM file with the private key.", "--tls-key"),
  row(
    "trustedProxies",
    "SLUICE_TRUSTED_PROXIES",
    "list",
    "",
    "Addresses or CIDRs whose X-Forwarded-* headers are believed.",
    "--trusted-proxies",
  ),
  row(
    "databaseUrl",
    "SLUICE_DATABASE_URL",
    "string",
    null,
    "postgres:// URL; without it SQLite in the data folder.",
  ),
  row("storageUrl", "SLUICE_STORAGE_URL", "string", null, "s3:// URL for files; without it the data folder."),
  row("models", "SLUICE_MODELS", "list", "", "Model files to serve besides the shipped ones.", "--model"),
  row(
    "weightsDir",
    "SLUICE_WEIGHTS",
    "string",
    null,
    "Folder of pulled models; unset: models/ in the data folder.",
    "--weights",
  ),
  row(
    "hubUrl",
    "SLUICE_HUB",
    "string",
    "https://huggingface.co",
    "Where `sluice models pull` finds models: the hub, or a mirror with the same paths.",
  ),
  row("isOffline", "SLUICE_OFFLINE", "boolean", "false", "Fetch nothing from the hub."),
  row("logLevel", "SLUICE_LOG_LEVEL", "string", "info", "debug, info, warn, error or silent.", "--log-level"),
  row(
    "threads",
    "SLUICE_THREADS",
    "integer",
    "0",
    "Compute threads per worker; 0: as many as the machine has cores.",
  ),
  row(
    "maxBodyBytes",
    "SLUICE_MAX_BODY",
    "bytes",
    "32MiB",
    "Largest request body on the queue and run surfaces.",
  ),
  row("maxUploadBytes", "SLUICE_MAX_UPLOAD", "bytes", "5GiB", "Largest uploaded file."),
  row(
    "leaseMs",
    "SLUICE_LEASE",
    "duration",
    "15s",
    "A running request whose runner says nothing for this long is queued again.",
  ),
  row("resultRetentionMs", "SLUICE_RESULT_RETENTION", "duration", "30d", "How long results are kept."),
  row(
    "fileRetentionMs",
    "SLUICE_FILE_RETENTION",
    "duration",
    null,
    "How long files are kept; unset: for ever.",
  ),
  row(
    "minFreeBytes",
    "SLUICE_MIN_FREE",
    "bytes",
    "512MiB",
    "Below this free disk space, submits answer 503.",
  ),
  row(
    "drainMs",
    "SLUICE_DRAIN",
    "duration",
    "30s",
    "How long a stopping server lets running requests finish.",
  ),
  row(
    "realtimeIdleMs",
    "SLUICE_REALTIME_IDLE",
    "duration",
    "60s",
    "A realtime connection that sends no input for this long is closed.",
  ),
  row(
    "allowPrivateInputs",
    "SLUICE_INPUT_ALLOW_PRIVATE",
    "boolean",
    "false",
    "Let URL inputs be fetched from private addresses.",
  ),
  row(
    "webhookAllowPrivate",
    "SLUICE_WEBHOOK_ALLOW_PRIVATE",
    "boolean",
    null,
    "Let webhooks go to private addresses; unset: only while the server listens on loopback.",
  ),
  row(
    "anonymousResultById",
    "SLUICE_ANONYMOUS_RESULT_BY_ID",
    "boolean",
    "false",
    "Let results be read without a key by whoever knows the request id.",
  ),
  row(
    "cancelAnswersOk",
    "SLUICE_CANCEL_ANSWERS_OK",
    "boolean",
    "false",
    'Answer the cancel of a queued request with 200 {"status":"OK"} instead of 202.',
  ),
  row(
    "strict",
    "SLUICE_STRICT",
    "boolean",
    "false",
    "Leave out every field that the hosted service does not send.",
  ),
  row("maxSafetyTolerance", "SLUICE_MAX_SAFETY_TOLERANCE", "integer", "6", "Ceiling of safety_tolerance."),
  row(
    "safetyAction",
    "SLUICE_SAFETY_ACTION",
    "string",
    "blank",
    "What happens to a flagged picture: blank, flag or reject.",
  ),
];

/** A setting cannot be used: names it, says what it should be. */
export class SettingsError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "SettingsError";
  }
}

/**
 * @param environment usually `process.env`
 * @param flags values by setting name; they win over the environment
 * @throws SettingsError that names the variable and what it should be
 */
export function parseSettings(
  environment: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Partial<Record<keyof Settings, string | undefined>>> = {},
): Settings {
  const values: Record<string, unknown> = {};
  for (const setting of SETTINGS) {
    const text = flags[setting.name] ?? environment[setting.variable] ?? setting.fallback;
    values[setting.name] =
      text === null || (text === "" && setting.kind !== "list") ? null : parseValue(setting, text);
  }
  values["modelSettings"] = collectModelSettings(environment);
  const settings = values as unknown as Settings;
  check(
    ["blank", "flag", "reject"].includes(settings.safetyAction),
    "SLUICE_SAFETY_ACTION must be blank, flag or reject.",
  );
  check(
    (settings.tlsCert === null) === (settings.tlsKey === null),
    "SLUICE_TLS_CERT and SLUICE_TLS_KEY go together: give both or none.",
  );
  check(
    ["debug", "info", "warn", "error", "silent"].includes(settings.logLevel),
    `SLUICE_LOG_LEVEL must be debug, info, warn, error or silent, not "${settings.logLevel}".`,
  );
  check(
    settings.leaseMs >= 1_000,
    "SLUICE_LEASE must be at least 1s: a lease is renewed three times before it ends.",
  );
  check(settings.port <= 65535, "SLUICE_PORT must be 0 to 65535.");
  check(
    isHub(settings.hubUrl),
    "SLUICE_HUB must be an https address (http only on this machine) without a password, for example https://huggingface.co.",
  );
  // Neither is printed: both may hold a password.
  check(
    settings.databaseUrl === null || /^postgres(ql)?:\/\//.test(settings.databaseUrl),
    "SLUICE_DATABASE_URL must begin with postgres://; without it SQLite is used.",
  );
  check(
    settings.storageUrl === null || settings.storageUrl.startsWith("s3://"),
    "SLUICE_STORAGE_URL must begin with s3://; without it files are kept in the data folder.",
  );
  check(
    settings.publicUrl === null || isOrigin(settings.publicUrl),
    "SLUICE_PUBLIC_URL must be an http(s) origin without a path, for example https://models.example.org.",
  );
  return Object.freeze(settings);
}

const MODEL_PREFIX = "SLUICE_MODEL_";

function collectModelSettings(
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (name.startsWith(MODEL_PREFIX) && value !== undefined)
      found[name.slice(MODEL_PREFIX.length).toLowerCase()] = value;
  }
  return found;
}

function parseValue(setting: SettingRow, text: string): unknown {
  switch (setting.kind) {
    case "string":
      return text;
    case "integer": {
      check(/^\d{1,15}$/.test(text), `${setting.variable} must be a whole number, not "${text}".`);
      return Number(text);
    }
    case "boolean": {
      const word = text.toLowerCase();
      check(
        ["1", "true", "yes", "on", "0", "false", "no", "off"].includes(word),
        `${setting.variable} must be true or false, not "${text}".`,
      );
      return ["1", "true", "yes", "on"].includes(word);
    }
    case "bytes":
      return parseQuantity(setting.variable, text, BYTE_UNITS, "bytes, for example 32MiB");
    case "duration":
      return parseQuantity(setting.variable, text, DURATION_UNITS, "a duration, for example 30s, 15m or 30d");
    case "list":
      return text
        .split(",")
        .map((part) => part.trim())
        .filter((part) => part !== "");
    default:
      return setting.kind satisfies never;
  }
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
};
const DURATION_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  ms: 1,
  s: 1e3,
  m: 6e4,
  h: 3.6e6,
  d: 8.64e7,
};

function parseQuantity(
  variable: string,
  text: string,
  units: Readonly<Record<string, number>>,
  what: string,
): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text);
  const unit = match === null ? undefined : units[(match[2] ?? "").toLowerCase()];
  if (match === null || unit === undefined)
    throw new SettingsError(`${variable} must be ${what}, not "${text}".`);
  return Math.round(Number(match[1]) * unit);
}

function isHub(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, hostname } = new URL(text);
  if (username !== "" || password !== "") return false;
  return protocol === "https:" || (protocol === "http:" && isLoopbackHost(hostname));
}

function isOrigin(text: string): boolean {
  try {
    const url = new URL(text);
    return (
      /^https?:$/.test(url.protocol) &&
      url.pathname === "/" &&
      url.search === "" &&
      url.hash === "" &&
      url.username === ""
    );
  } catch {
    return false;
  }
}

function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new SettingsError(message);
}
