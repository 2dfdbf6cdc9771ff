-- The endpoint that made a file, so that files are filtered without looking at requests, which may be gone.
ALTER TABLE files ADD COLUMN endpoint_id TEXT;

UPDATE files SET endpoint_id = (SELECT endpoint_id FROM requests WHERE requests.id = files.request_id)
  WHERE request_id IS NOT NULL;

CREATE INDEX files_by_creation ON files (created_at, path);
CREATE INDEX files_by_endpoint ON files (endpoint_id, created_at, path) WHERE endpoint_id IS NOT NULL;

-- Files that were chosen for one download: their paths as a JSON list.
CREATE TABLE file_archives (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL,
  paths TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);

CREATE INDEX file_archives_by_expiry ON file_archives (expires_at);
