"""Arithmetic of segmentation in NumPy: no files, no Keras, no MLflow."""
