"""Makes a new network: what it consists of, its files, its ports."""
