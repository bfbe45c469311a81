"""Score our own models on prepared splits."""
