"""IDoT, identity of things: keys with a life cycle on the ledger. Pure."""
