-- Failures are few, and a list of one endpoint's, key's or account's must not look through everybody's. Requests that
-- succeed are in none of these.
CREATE INDEX requests_failed_by_state ON requests (state, created_at, number) WHERE status_code >= 400;
CREATE INDEX requests_failed_by_endpoint ON requests (endpoint_id, state, created_at, number) WHERE status_code >= 400;
CREATE INDEX requests_failed_by_key ON requests (key_id, state, created_at, number) WHERE status_code >= 400;
CREATE INDEX requests_failed_by_account ON requests (account_id, state, created_at, number) WHERE status_code >= 400;
