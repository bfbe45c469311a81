"""All code that uses MLflow, the only tracker and registry. No other package imports it."""
