"""The processes of a network, one module each, and what starts and watches them."""
