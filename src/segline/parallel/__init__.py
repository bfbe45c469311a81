"""Per-sample work on several processes."""
