"""Stage `extract`: archives become one raw folder; polygons become masks."""
