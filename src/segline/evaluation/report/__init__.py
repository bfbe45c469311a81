"""Show scores to people: pages, pictures and tables."""
