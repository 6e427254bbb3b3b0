"""PowerChain: tokens for stored energy, and what keeps the two equal. Pure."""
