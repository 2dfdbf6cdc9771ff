-- The request that shows what an endpoint's model makes here; one for each version of the model.
CREATE TABLE samples (
  endpoint_id TEXT NOT NULL,
  model_version TEXT NOT NULL,
  request_id TEXT NOT NULL,
  made_at BIGINT NOT NULL,
  PRIMARY KEY (endpoint_id, model_version)
);
