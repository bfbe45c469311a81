"""How the user's own data are described: class table, files, pairs, splits, polygons."""
