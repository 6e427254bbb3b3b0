"""The mesh: frames between nodes, their links and their certificates."""
