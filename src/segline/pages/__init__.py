"""Building blocks of all HTML pages: templates, charts."""
