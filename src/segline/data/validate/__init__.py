"""Stage `validate`: the manifest, what Great Expectations and our own checks say of it, and the pages."""
