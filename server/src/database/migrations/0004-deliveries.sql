-- Who sends a delivery now. While it is set, next_at is the time at which others may send it again.
ALTER TABLE deliveries ADD COLUMN lease_token TEXT;

-- What became of each attempt to deliver; removed together with the delivery.
CREATE TABLE delivery_attempts (
  request_id TEXT NOT NULL,
  sequence BIGINT NOT NULL,
  at BIGINT NOT NULL,
  duration_ms BIGINT NOT NULL,
  status BIGINT,
  -- Null when it was accepted.
  error TEXT,
  PRIMARY KEY (request_id, sequence)
);
