-- Where an account receives webhooks on this server itself, for development.
CREATE TABLE inboxes (
  account_id TEXT PRIMARY KEY,
  -- The unguessable part of its address.
  token TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL
);

CREATE TABLE inbox_deliveries (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL,
  received_at BIGINT NOT NULL,
  -- JSON, names in lower case
  headers TEXT NOT NULL,
  body BYTEA NOT NULL,
  -- Bytes as they came; more than are kept when the body was too long.
  size BIGINT NOT NULL
);
CREATE INDEX inbox_deliveries_by_account ON inbox_deliveries (account_id, id);
