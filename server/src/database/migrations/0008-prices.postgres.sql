-- Pixels of the pictures that a request made; null when it made none, or is from before this column.
ALTER TABLE requests ADD COLUMN output_pixels BIGINT;

-- What the operator asks for an endpoint's requests, in place of the model's own price.
CREATE TABLE prices (
  endpoint_id TEXT PRIMARY KEY,
  -- request, second, megapixel, image: what the amount is for
  unit TEXT NOT NULL,
  -- US dollars
  amount DOUBLE PRECISION NOT NULL,
  set_at BIGINT NOT NULL
);
