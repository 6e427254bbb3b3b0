"""Meters and homes: their rules are pure, `shell` does the I/O."""
