"""Connected components, polygons, perceptual hashes, and distances between sets of images."""
