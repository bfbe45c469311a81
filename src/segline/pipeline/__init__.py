"""The use cases, one file each: plain functions that flows and commands call, and that import neither."""
