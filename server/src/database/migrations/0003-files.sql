-- Files that callers see. Bytes are blobs; a file exists once its row does.
CREATE TABLE files (
  path TEXT PRIMARY KEY,
  blob_key TEXT NOT NULL UNIQUE,
  account_id TEXT NOT NULL,
  request_id TEXT,
  file_name TEXT NOT NULL,
  content_type TEXT NOT NULL,
  size BIGINT NOT NULL,
  sha256 TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  -- JSON; null: readable by everyone who knows the URL.
  acl TEXT,
  width BIGINT,
  height BIGINT
);

CREATE INDEX files_by_account ON files (account_id, created_at, path);
CREATE INDEX files_by_request ON files (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX files_by_expiry ON files (expires_at) WHERE expires_at IS NOT NULL;

-- Bytes of visible files per account, kept with every change of files.
CREATE TABLE file_usage (
  account_id TEXT PRIMARY KEY,
  bytes BIGINT NOT NULL
);

-- Uploads that were begun: a path that is promised, until its bytes are there.
CREATE TABLE uploads (
  id TEXT PRIMARY KEY,
  path TEXT NOT NULL UNIQUE,
  account_id TEXT NOT NULL,
  file_name TEXT NOT NULL,
  content_type TEXT NOT NULL,
  -- single: one PUT. multipart: numbered parts and a completion.
  kind TEXT NOT NULL,
  -- Time from completion to expiry of the file; null: never.
  expires_after_ms BIGINT,
  acl TEXT,
  -- Largest size, by the limits of the key that began it; null: the server's own limit.
  max_bytes BIGINT,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  -- Set when the file was stored: nothing more is written.
  completed_at BIGINT
);

CREATE INDEX uploads_by_expiry ON uploads (expires_at);
CREATE INDEX uploads_by_account ON uploads (account_id);

CREATE TABLE upload_parts (
  upload_id TEXT NOT NULL REFERENCES uploads (id),
  part_number BIGINT NOT NULL,
  blob_key TEXT NOT NULL UNIQUE,
  size BIGINT NOT NULL,
  sha256 TEXT NOT NULL,
  PRIMARY KEY (upload_id, part_number)
);
