-- What an account wants for its new files, where the call that makes one says nothing.
CREATE TABLE storage_settings (
  account_id TEXT PRIMARY KEY,
  -- Time from completion to expiry; 0: never; null: the server's own.
  expires_after_ms BIGINT,
  -- JSON; null: the server's own.
  acl TEXT
);
