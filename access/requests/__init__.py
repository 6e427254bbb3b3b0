"""What the ledger has of grants, requests and releases: never whom, what for, or where. Pure."""
