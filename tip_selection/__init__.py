"""Ways to choose the parents of a new transaction. Pure: one file per way."""
