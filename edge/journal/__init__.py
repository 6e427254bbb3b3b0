"""A node's journal: written, read, checked, pruned, copied and mended."""
