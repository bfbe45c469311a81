"""What is seen in images and masks: components, outlines, look-alikes, how far two sets lie apart."""
