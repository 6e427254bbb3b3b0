"""Certification and service nodes, and who asks them: decisions without any I/O. Pure."""
