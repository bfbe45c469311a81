"""Prefect flows: wiring, retries, limits and artifacts; the library does the work and does not know Prefect."""
