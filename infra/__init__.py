"""The local servers and the worker that `make up` starts."""
