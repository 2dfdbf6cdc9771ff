-- The durable queue. Rows of `requests` stay small (2 KB at most): what can be long is in `payloads`, and payloads
-- over 32 KiB are blobs, named by their key. `number` joins the tables and never leaves the database.

CREATE TABLE requests (
  number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id TEXT COLLATE "C" NOT NULL UNIQUE,
  account_id TEXT NOT NULL,
  key_id TEXT,
  -- Whose turn it is: the key, or the account when there is none.
  fair_key TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  app TEXT NOT NULL,
  surface TEXT NOT NULL,
  state TEXT NOT NULL,
  -- 0 normal, 1 low
  priority INTEGER NOT NULL,
  fair_rank BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  -- Not leased before: the back-off after a failed attempt.
  available_at BIGINT NOT NULL,
  started_at BIGINT,
  ended_at BIGINT,
  start_deadline_at BIGINT,
  timeout_ms BIGINT NOT NULL,
  hint TEXT,
  keeps_payloads INTEGER NOT NULL,
  has_webhook INTEGER NOT NULL,
  remove_payloads_at BIGINT,
  idempotency_key TEXT,
  input_sha256 TEXT,
  -- The key's limit of requests running at once, as of the submit.
  key_concurrency INTEGER,
  -- 1 when the key has a limit of requests waiting at once.
  is_counted INTEGER NOT NULL,
  connection_attempts INTEGER NOT NULL,
  server_attempts INTEGER NOT NULL,
  timeout_attempts INTEGER NOT NULL,
  connection_failures INTEGER NOT NULL DEFAULT 0,
  server_failures INTEGER NOT NULL DEFAULT 0,
  timeout_failures INTEGER NOT NULL DEFAULT 0,
  setup_failures INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  is_cancel_requested INTEGER NOT NULL DEFAULT 0,
  runner_id TEXT,
  lease_token TEXT,
  lease_ms BIGINT,
  lease_expires_at BIGINT,
  status_code INTEGER,
  error TEXT,
  error_type TEXT,
  billable_units DOUBLE PRECISION,
  inference_seconds DOUBLE PRECISION
);

-- Next in line, per endpoint; wide enough to pass over requests in back-off without reading their rows.
CREATE INDEX requests_in_line ON requests (endpoint_id, priority, fair_rank, id, available_at, created_at) WHERE state = 'queued';
-- The last rank of a key, and who waits besides keys that run as much as they may.
CREATE INDEX requests_in_line_by_key ON requests (app, fair_key, priority, fair_rank) WHERE state = 'queued';
-- Positions.
CREATE INDEX requests_positions ON requests (app, priority, fair_rank, id) WHERE state = 'queued';
CREATE INDEX requests_counted ON requests (key_id) WHERE state = 'queued' AND is_counted = 1;
CREATE INDEX requests_start_deadlines ON requests (start_deadline_at) WHERE state = 'queued' AND start_deadline_at IS NOT NULL;
CREATE INDEX requests_leases ON requests (lease_expires_at, key_id) WHERE state = 'running';
CREATE UNIQUE INDEX requests_idempotency ON requests (account_id, endpoint_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
-- History.
CREATE INDEX requests_by_creation ON requests (created_at, number);
CREATE INDEX requests_ended ON requests (created_at, number) WHERE ended_at IS NOT NULL;
CREATE INDEX requests_by_account ON requests (account_id, created_at, number);
CREATE INDEX requests_by_key ON requests (key_id, created_at, number) WHERE key_id IS NOT NULL;
CREATE INDEX requests_by_endpoint ON requests (endpoint_id, created_at, number);
CREATE INDEX requests_by_end ON requests (ended_at, number) WHERE ended_at IS NOT NULL;
CREATE INDEX requests_by_duration ON requests ((ended_at - started_at), number) WHERE ended_at IS NOT NULL AND started_at IS NOT NULL;
CREATE INDEX requests_failed ON requests (created_at, number) WHERE status_code >= 400;
-- Payloads that the caller wanted forgotten.
CREATE INDEX requests_forgotten ON requests (remove_payloads_at) WHERE remove_payloads_at IS NOT NULL;

CREATE TABLE payloads (
  request_number BIGINT PRIMARY KEY,
  webhook_url TEXT,
  file_lifecycle TEXT,
  tags TEXT,
  headers TEXT,
  has_input INTEGER NOT NULL,
  input BYTEA,
  input_blob TEXT,
  result_headers TEXT,
  result BYTEA,
  result_blob TEXT,
  file_ids TEXT,
  removed_at BIGINT
);

CREATE TABLE events (
  request_number BIGINT NOT NULL,
  sequence INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  kind TEXT NOT NULL,
  at BIGINT NOT NULL,
  data TEXT NOT NULL,
  PRIMARY KEY (request_number, sequence)
);

-- Where each line has got to: the rank of the request leased last.
CREATE TABLE lines (
  app TEXT NOT NULL,
  priority INTEGER NOT NULL,
  virtual_time BIGINT NOT NULL,
  PRIMARY KEY (app, priority)
);

CREATE TABLE paused_endpoints (
  endpoint_id TEXT PRIMARY KEY,
  paused_at BIGINT NOT NULL
);

-- Requests per key and UTC day, for keys that have such a limit.
CREATE TABLE key_days (
  key_id TEXT NOT NULL,
  day BIGINT NOT NULL,
  requests INTEGER NOT NULL,
  PRIMARY KEY (key_id, day)
);

-- Webhook deliveries owed: written by the commit that ends the request.
CREATE TABLE deliveries (
  request_id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL,
  url TEXT NOT NULL,
  -- owed, delivered, given_up
  state TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  next_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  last_attempt_at BIGINT,
  last_status INTEGER,
  last_error TEXT
);
CREATE INDEX deliveries_owed ON deliveries (next_at) WHERE state = 'owed';
