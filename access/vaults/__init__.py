"""Vaults: a public key whose secret k of n nodes hold together. Pure."""
