"""Cost of a network: parameters, operations, time, memory."""
