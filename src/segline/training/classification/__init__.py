"""Train an encoder to classify whole images; its weights are the initial ones of a segmentation network."""
