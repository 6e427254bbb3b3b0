"""Streams of sealed readings: what the ledger has of them, and how they are sealed. Pure."""
