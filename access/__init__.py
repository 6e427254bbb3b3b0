"""Contracts about identities and who may read what. Pure."""
