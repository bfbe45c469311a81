"""Train an encoder to tell whole images apart, for segmentation to begin with."""
