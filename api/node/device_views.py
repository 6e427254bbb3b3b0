"""One meter as people ask for it: what ledger and journal say of it."""

from api.http.service import DeviceView, JournalledReadings
from api.node.applied_readings import Tally
from edge.ground.spans import size
from tangle.accounts import NO_ADDRESS, Identity
from tangle.address import Address


def device_view(
    device: Address,
    known: Identity | None,
    tally: Tally,
    journalled: JournalledReadings | None,
) -> DeviceView:
    """Return one meter.

    Args:
        device: Its address.
        known: Its row, if it is registered.
        tally: What is applied of it.
        journalled: What this node has of it, if it is its home.
    """
    return DeviceView(
        device,
        None if known is None else _some(known.owner),
        None if known is None else _some(known.edge),
        known is not None,
        tally.confirmed,
        tally.twice,
        tally.spans,
        journalled,
        None if journalled is None else size(tally.proven),
        tally.pruned,
    )


def _some(address: bytes) -> Address | None:
    return None if address == NO_ADDRESS else Address(address)
