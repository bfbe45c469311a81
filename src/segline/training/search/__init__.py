"""Choose a network and its learning rate by trials."""
