"""Bills as files: paper, and where an issuer and a customer keep them."""
