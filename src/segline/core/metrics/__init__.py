"""Counts of a segmentation, and every score that is read off them."""
