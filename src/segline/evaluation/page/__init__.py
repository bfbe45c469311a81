"""Pages of scores for people: one file each, nothing from elsewhere."""
