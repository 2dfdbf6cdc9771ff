export type ObjectExpiration = "never" | "immediate" | "1h" | "1d" | "7d" | "30d" | "1y" | number;

export type StorageACLDecision = "hide" | "forbid" | "allow";

export interface StorageACLRule {
  user: string;
  decision: StorageACLDecision;
}

export interface StorageACL {
  /** For everyone whom no rule names. */
  default?: StorageACLDecision;
  rules?: StorageACLRule[];
}

/** How long files are kept, and who may read them. */
export interface StorageSettings {
  /** A name or a number of seconds. */
  expiresIn?: ObjectExpiration;
  initialAcl?: StorageACL;
}

const SECONDS: Readonly<Record<string, number>> = {
  // Said, not left out: the account may have set something else for files of which nothing is said.
  never: 0,
  immediate: 60,
  "1h": 3600,
  "1d": 86_400,
  "7d": 604_800,
  "30d": 2_592_000,
  "1y": 31_536_000,
};

/** The settings as a header; none when they ask for nothing. */
export function buildLifecycleHeaders(
  name: "x-fal-object-lifecycle" | "x-fal-object-lifecycle-preference",
  settings: StorageSettings | undefined,
): Record<string, string> {
  const { expiresIn, initialAcl } = settings ?? {};
  const seconds = typeof expiresIn === "string" ? SECONDS[expiresIn] : expiresIn;
  const value = {
    ...(seconds === undefined ? {} : { expiration_duration_seconds: seconds }),
    ...(initialAcl === undefined ? {} : { initial_acl: initialAcl }),
  };
  return Object.keys(value).length === 0 ? {} : { [name]: JSON.stringify(value) };
}
