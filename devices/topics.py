"""The names under which meters and edge nodes find each other at an MQTT broker."""

from tangle.address import Address, encode_address


def readings_topic(network: bytes, device: Address) -> str:
    """Return where a meter posts its signed readings."""
    return f"tw/{network.hex()}/{encode_address(device)}/readings"


def all_readings_topic(network: bytes) -> str:
    """Return the filter that matches the readings of every meter of one network."""
    return f"tw/{network.hex()}/+/readings"


def receipt_topic(network: bytes, device: Address) -> str:
    """Return where the home edge keeps its newest receipt for a meter, retained."""
    return f"tw/{network.hex()}/{encode_address(device)}/ack"


def tips_topic(network: bytes) -> str:
    """Return where an edge node keeps two parents for meters that issue themselves, retained."""
    return f"tw/{network.hex()}/tips"
