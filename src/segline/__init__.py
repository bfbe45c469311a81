"""Segline: semantic segmentation that can be trusted, rebuilt and run."""
