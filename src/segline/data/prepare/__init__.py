"""Stage `prepare`: decoded once into memory-mapped splits."""
