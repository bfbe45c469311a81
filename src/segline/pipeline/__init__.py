"""The use cases, a file each: plain functions, which flows and commands call and which know neither."""
