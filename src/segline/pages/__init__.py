"""Building blocks of all HTML pages: templates and charts."""
