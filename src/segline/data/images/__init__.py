"""What all stages share of image and mask files: decoding, scaling, small pictures, and whose split a sample is."""
