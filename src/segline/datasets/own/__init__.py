"""Readers of the user's own data: class table, files, pairs, splits, polygons."""
