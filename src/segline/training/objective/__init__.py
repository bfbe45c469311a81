"""What training minimises, and how: losses, optimizers, schedule."""
