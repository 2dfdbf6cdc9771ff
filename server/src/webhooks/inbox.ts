import { randomBytes } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Database } from "../database/database.ts";
import { type AccountId, createRequestId } from "../ids.ts";

/**
 * A receiver of webhooks on the server itself, for development: each account has one address. It keeps the newest
 * deliveries and forgets the rest, so that whoever knows the address cannot fill the disk.
 */
export interface WebhookInbox {
  /** The secret part of an account's address, made at the first call. */
  getToken(accountId: AccountId): Promise<string>;
  /** Whose inbox this is. */
  findAccount(token: string): Promise<AccountId | undefined>;
  receive(accountId: AccountId, delivery: NewInboxDelivery): Promise<void>;
  /** Newest first; at most `limit`, those before `before` when it is given. */
  list(
    accountId: AccountId,
    options: { readonly limit: number; readonly before?: string },
  ): Promise<InboxPage>;
  clear(accountId: AccountId): Promise<void>;
  /** Calls the listener when something came into an inbox through this process, or it was emptied. */
  onChange(listener: (accountId: AccountId) => void): () => void;
}

export interface NewInboxDelivery {
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface InboxDelivery extends NewInboxDelivery {
  /** Sorts by time. */
  readonly id: string;
  readonly receivedAt: number;
  /** Of the body as it came; `body` is shorter when it was too long to keep. */
  readonly sizeBytes: number;
}

export interface InboxPage {
  readonly deliveries: readonly InboxDelivery[];
  readonly nextCursor: string | null;
}

/** Of one account. */
export const MAX_INBOX_DELIVERIES = 100;
export const MAX_INBOX_BODY_BYTES: number = 256 * 1024;
const MAX_HEADER_CHARACTERS = 8 * 1024;

/** The address of an inbox, below the origin of a server. */
export const INBOX_PATH = "/v1/sluice/inbox/";

/** 32 random bytes in base64url. */
const TOKEN = /^[\w-]{43}$/;

/** The token of a URL that looks like an inbox of this program, whatever its host. */
export function parseInboxUrl(url: URL): string | undefined {
  const token = url.pathname.startsWith(INBOX_PATH) ? url.pathname.slice(INBOX_PATH.length) : "";
  return TOKEN.test(token) ? token : undefined;
}

export function createWebhookInbox(parts: {
  readonly database: Database;
  readonly clock: Clock;
}): WebhookInbox {
  const { database, clock } = parts;
  const listeners = new Set<(accountId: AccountId) => void>();
  const tell = (accountId: AccountId): void => {
    for (const listener of listeners) listener(accountId);
  };

  return {
    getToken: (accountId) =>
      database.transaction(async (tx) => {
        const select = "SELECT token FROM inboxes WHERE account_id = $1";
        const known = await tx.get<{ token: string }>(select, [accountId]);
        if (known !== undefined) return known.token;
        await tx.run(
          "INSERT INTO inboxes (account_id, token, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
          [accountId, randomBytes(32).toString("base64url"), Math.round(clock.now())],
        );
        // On PostgreSQL another process may have been faster.
        return (await tx.get<{ token: string }>(select, [accountId]))?.token ?? "";
      }),

    async findAccount(token) {
      if (!TOKEN.test(token)) return undefined;
      const row = await database.read((tx) =>
        tx.get<{ account_id: string }>("SELECT account_id FROM inboxes WHERE token = $1", [token]),
      );
      return row?.account_id as AccountId | undefined;
    },

    async receive(accountId, { headers, body }) {
      const now = clock.now();
      await database.transaction(async (tx) => {
        await tx.run(
          `INSERT INTO inbox_deliveries (id, account_id, received_at, headers, body, size)
           VALUES ($1, $2, $3, $4, $5, $6)`,
          [
            createRequestId(now),
            accountId,
            Math.round(now),
            formatHeaders(headers),
            body.subarray(0, MAX_INBOX_BODY_BYTES),
            body.byteLength,
          ],
        );
        await tx.run(
          `DELETE FROM inbox_deliveries WHERE account_id = $1 AND id < coalesce(
             (SELECT id FROM inbox_deliveries WHERE account_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2), '')`,
          [accountId, MAX_INBOX_DELIVERIES - 1],
        );
      });
      tell(accountId);
    },

    async list(accountId, { limit, before }) {
      const rows = await database.read((tx) =>
        tx.all<DeliveryRow>(
          `SELECT id, received_at, headers, body, size FROM inbox_deliveries
           WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3`,
          [accountId, before ?? AFTER_ALL, limit + 1],
        ),
      );
      const page = rows.slice(0, limit);
      return {
        deliveries: page.map((row) => ({
          id: row.id,
          receivedAt: Number(row.received_at),
          headers: JSON.parse(row.headers) as Record<string, string>,
          body: new Uint8Array(row.body),
          sizeBytes: Number(row.size),
        })),
        nextCursor: rows.length > limit ? (page.at(-1)?.id ?? null) : null,
      };
    },

    async clear(accountId) {
      await database.transaction((tx) =>
        tx.run("DELETE FROM inbox_deliveries WHERE account_id = $1", [accountId]),
      );
      tell(accountId);
    },

    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Ids are of hexadecimal digits. */
const AFTER_ALL = "g";

interface DeliveryRow {
  readonly id: string;
  readonly received_at: number;
  readonly headers: string;
  readonly body: Uint8Array;
  readonly size: number;
}

/** As many headers as fit. PostgreSQL has no NUL in text. */
function formatHeaders(headers: Readonly<Record<string, string>>): string {
  const kept: Record<string, string> = {};
  let left = MAX_HEADER_CHARACTERS;
  for (const [name, value] of Object.entries(headers)) {
    left -= name.length + value.length;
    if (left < 0) break;
    kept[name] = value.replaceAll("\0", "");
  }
  return JSON.stringify(kept);
}
