"""Score Segline's own models on prepared splits."""
