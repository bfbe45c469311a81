"""Search for a network, then fit it: batches in, a trained network and its history out.

Importing this package does not import Keras; importing its modules does.
"""
