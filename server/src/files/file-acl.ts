import type { Statements } from "../database/database.ts";
import type { AccountId } from "../ids.ts";
import type { AclDecision, FileAcl } from "./file-store.ts";

/** What everyone gets who knows a URL, unless a rule says otherwise (fal model API, "Lifecycle and ACL"). */
export const PUBLIC_ACL: FileAcl = { default: "allow", rules: [] };

/** Who reads a file. Null: without any credential. */
export interface Reader {
  readonly accountId: AccountId;
  /** Rules may name an account by its nickname or by its id. */
  readonly nickname?: string | undefined;
}

/** The owner always reads; another account gets what the rules for it say, the most permissive one; else the default. */
export function decideAccess(
  file: { readonly accountId: AccountId; readonly acl: FileAcl },
  reader: Reader | null,
): AclDecision {
  const { acl } = file;
  if (reader === null) return acl.default;
  if (reader.accountId === file.accountId) return "allow";
  const decisions = acl.rules
    .filter(({ user }) => user === reader.accountId || user === reader.nickname)
    .map(({ decision }) => decision);
  return DECISIONS.find((decision) => decisions.includes(decision)) ?? acl.default;
}

/** Most permissive first. */
const DECISIONS: readonly AclDecision[] = ["allow", "forbid", "hide"];
const MAX_RULES = 100;

/** Reads `{"default": D, "rules": [{"user", "decision": D}]}`; a text says what is wrong. */
export function parseFileAcl(value: unknown): FileAcl | string {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return 'must be an object with "default" and "rules"';
  const { default: fallback = "allow", rules = [] } = value as { default?: unknown; rules?: unknown };
  if (!isDecision(fallback)) return `"default" must be one of ${DECISIONS.join(", ")}`;
  const list = rules ?? [];
  if (!Array.isArray(list) || list.length > MAX_RULES)
    return `"rules" must be a list of at most ${MAX_RULES} rules`;
  const parsed: { user: string; decision: AclDecision }[] = [];
  for (const rule of list) {
    const { user, decision } = (rule ?? {}) as { user?: unknown; decision?: unknown };
    if (typeof user !== "string" || user === "" || user.length > 200 || !isDecision(decision))
      return `every rule must have a "user" and a "decision" that is one of ${DECISIONS.join(", ")}`;
    parsed.push({ user, decision });
  }
  return { default: fallback, rules: parsed };
}

/** The same rules without those that name nobody. */
export async function keepKnownUsers(tx: Statements, acl: FileAcl): Promise<FileAcl> {
  if (acl.rules.length === 0) return acl;
  const users = [...new Set(acl.rules.map(({ user }) => user))];
  const marks = users.map((_, index) => `$${index + 1}`).join(", ");
  const rows = await tx.all<{ id: string; nickname: string }>(
    `SELECT id, nickname FROM accounts WHERE id IN (${marks}) OR nickname IN (${marks})`,
    users,
  );
  const known = new Set(rows.flatMap(({ id, nickname }) => [id, nickname]));
  return { default: acl.default, rules: acl.rules.filter(({ user }) => known.has(user)) };
}

function isDecision(value: unknown): value is AclDecision {
  return DECISIONS.some((decision) => decision === value);
}
