"""What runs beside a node: the service behind HTTP, the coordinator and the co-signer at work."""
