import type { Statements } from "../database/database.ts";
import type { AccountId } from "../ids.ts";
import { keepKnownUsers } from "./file-acl.ts";
import type { FileAcl } from "./file-store.ts";
import type { FileLifecycle } from "./lifecycle.ts";

/** What an account has set for its new files; no member where it has set nothing. */
export async function readFileDefaults(tx: Statements, accountId: AccountId): Promise<FileLifecycle> {
  const row = await tx.get<DefaultsRow>(
    "SELECT expires_after_ms, acl FROM storage_settings WHERE account_id = $1",
    [accountId],
  );
  const { expires_after_ms: expiresAfterMs = null, acl = null } = row ?? {};
  return {
    ...(expiresAfterMs === null ? {} : { expiresAfterMs: expiresAfterMs === 0 ? null : expiresAfterMs }),
    ...(acl === null ? {} : { acl: JSON.parse(acl) as FileAcl }),
  };
}

/** Replaces what was set before; a member that is absent is set no longer. Rules that name nobody are dropped. */
export async function writeFileDefaults(
  tx: Statements,
  accountId: AccountId,
  { expiresAfterMs, acl }: FileLifecycle,
): Promise<void> {
  const known = acl === undefined ? null : JSON.stringify(await keepKnownUsers(tx, acl));
  await tx.run(
    `INSERT INTO storage_settings (account_id, expires_after_ms, acl) VALUES ($1, $2, $3)
     ON CONFLICT (account_id) DO UPDATE SET expires_after_ms = excluded.expires_after_ms, acl = excluded.acl`,
    [accountId, expiresAfterMs === undefined ? null : (expiresAfterMs ?? 0), known],
  );
}

interface DefaultsRow {
  readonly expires_after_ms: number | null;
  readonly acl: string | null;
}
