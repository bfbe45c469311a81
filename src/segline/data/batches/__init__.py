"""From prepared splits to augmented batches."""
