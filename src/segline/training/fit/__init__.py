"""Fit one network, and survive what happens meanwhile."""
