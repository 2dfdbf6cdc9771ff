-- Where an account receives webhooks on this server itself, for development.
CREATE TABLE inboxes (
  account_id TEXT PRIMARY KEY,
  -- The unguessable part of its address.
  token TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE inbox_deliveries (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  -- JSON, names in lower case
  headers TEXT NOT NULL,
  body BLOB NOT NULL,
  -- Bytes as they came; more than are kept when the body was too long.
  size INTEGER NOT NULL
) STRICT;
CREATE INDEX inbox_deliveries_by_account ON inbox_deliveries (account_id, id);
