"""Read untrusted files strictly: size and nesting are limited, and each fault gives one clear error."""
