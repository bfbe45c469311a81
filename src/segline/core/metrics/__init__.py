"""Counts of a segmentation, and every score that is computed from them."""
