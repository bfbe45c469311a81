"""Prefect flows: wiring, retries, limits and artifacts; the library does the work and knows no Prefect."""
