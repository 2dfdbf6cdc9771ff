-- Who may call. Secrets are kept as SHA-256 hashes in hex: they are random and long, so no slow hash is needed.
CREATE TABLE accounts (
  id TEXT PRIMARY KEY,
  nickname TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL
);

CREATE TABLE keys (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts (id),
  alias TEXT NOT NULL,
  scope TEXT NOT NULL,
  secret_hash TEXT NOT NULL,
  limits TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  last_used_at BIGINT,
  revoked_at BIGINT
);

CREATE INDEX keys_by_account ON keys (account_id, id);

-- What this server signs tokens and links with.
CREATE TABLE signing_keys (
  purpose TEXT PRIMARY KEY,
  id TEXT NOT NULL,
  secret TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
