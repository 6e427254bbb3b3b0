"""The order book: a continuous double auction of ENT against eEuro. Pure."""
