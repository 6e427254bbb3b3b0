"""CTT: rechargeable energy accounts of fixed capacity, numbered, owned and sold."""
