"""HTTP in, flow calls out."""
