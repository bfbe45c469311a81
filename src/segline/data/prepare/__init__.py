"""Stage `prepare`: decode every sample once, into memory-mapped splits."""
