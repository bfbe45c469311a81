"""Segline: MLOps for semantic segmentation, from download and validation to training, evaluation and prediction."""
