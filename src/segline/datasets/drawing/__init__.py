"""The brushes of the sample: street scenes and pets, drawn by code alone."""
