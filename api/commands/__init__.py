"""The commands that people type, but for those that are a process of their own."""
