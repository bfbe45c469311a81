"""Templates and charts that all HTML pages share."""
