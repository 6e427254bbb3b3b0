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


def tips_topic(network: bytes, edge: Address) -> str:
    """Return where an edge node keeps two parents for meters that issue themselves, retained."""
    return f"tw/{network.hex()}/{encode_address(edge)}/tips"


def standing_topic(network: bytes, device: Address) -> str:
    """Return where the home edge keeps the newest state proof for a meter, retained."""
    return f"tw/{network.hex()}/{encode_address(device)}/standing"


def answer_topic(network: bytes, device: Address) -> str:
    """Return where the home edge keeps its newest answer to a meter's transaction, retained."""
    return f"tw/{network.hex()}/{encode_address(device)}/answer"


def transactions_topic(network: bytes, device: Address) -> str:
    """Return where a meter posts whole transactions of its own."""
    return f"tw/{network.hex()}/{encode_address(device)}/transactions"


def relay_topic(network: bytes, device: Address) -> str:
    """Return where a meter keeps what it says of its relay, retained."""
    return f"tw/{network.hex()}/{encode_address(device)}/relay"


def all_transactions_topic(network: bytes) -> str:
    """Return the filter that matches what every meter of one network posts to the ledger."""
    return f"tw/{network.hex()}/+/transactions"


def all_relays_topic(network: bytes) -> str:
    """Return the filter that matches what every meter of one network says of its relay."""
    return f"tw/{network.hex()}/+/relay"
