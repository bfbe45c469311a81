"""Train an encoder to classify whole images, as the start of a segmentation network."""
