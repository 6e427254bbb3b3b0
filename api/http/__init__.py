"""The HTTP and WebSocket interface of a node, behind one door."""
