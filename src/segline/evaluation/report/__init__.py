"""Scores for people: pages, pictures, tables."""
