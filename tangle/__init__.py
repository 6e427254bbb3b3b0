"""The ledger: bytes, graph, cones, accounts, contracts, milestones and the node's core. Pure."""
