"""Stage `size`: choose the size at which images are prepared, and write it."""
