"""Files that strangers may have written, read within bounds: each fault is one clear error, none takes long."""
