"""Asks nodes over HTTP, and issues operations through them."""
