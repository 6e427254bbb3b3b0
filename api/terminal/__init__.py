"""How commands speak: options they share, data to stdout, talk to stderr."""
