"""Intervals, comparisons, and how far to trust them."""
