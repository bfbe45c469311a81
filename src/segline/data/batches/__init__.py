"""Make augmented batches from prepared splits."""
