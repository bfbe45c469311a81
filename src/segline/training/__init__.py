"""Search for a network, then fit it: from batches to a trained network and its history.

Importing this package does not import Keras; importing its modules does.
"""
