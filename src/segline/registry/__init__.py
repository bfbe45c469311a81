"""MLflow: the only tracker and the only registry, imported in this room alone."""
