"""Prefect flows: tasks, retries, limits and artifacts. The library does the work and does not import Prefect."""
