"""The objective of training: losses, optimizers, schedule."""
