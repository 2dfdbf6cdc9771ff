"""Training of the embedded text-to-image model."""
