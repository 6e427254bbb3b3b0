"""Contracts about energy and money. Pure."""
