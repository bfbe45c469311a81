"""Confidence intervals, comparisons of models, and their reliability."""
