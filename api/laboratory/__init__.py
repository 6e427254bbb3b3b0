"""What becomes of a laboratory record: numbers, tables, plots, graphs, and many of them at once."""
