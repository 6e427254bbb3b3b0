"""Bills: dated tariffs, lines that add up, documents that do not change. Pure."""
