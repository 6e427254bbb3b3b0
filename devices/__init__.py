"""Meters and homes: their rules are pure, `shell` and `outbox` do the I/O."""
