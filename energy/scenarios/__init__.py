"""Scenarios: what people do and what must come out, as a file that anyone can write."""
