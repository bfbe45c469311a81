"""Scores under a named protocol, and their pictures."""
