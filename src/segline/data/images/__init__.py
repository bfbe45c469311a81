"""Work on image and mask files that all stages share: decode, scale, draw thumbnails, assign splits."""
