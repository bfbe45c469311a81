"""Prefect comes in before the flows bring it."""

import quiet_prefect  # noqa: F401
