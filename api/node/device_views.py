"""One meter as people ask for it: what ledger and journal say of it."""

from api.http.service import DeviceView, JournalledReadings, RelayView
from api.node.applied_readings import Tally
from edge.ground.spans import size
from edge.meters.obedience import Obedience
from tangle.accounts import NO_ADDRESS, Identity
from tangle.address import Address


def device_view(
    device: Address,
    known: Identity | None,
    tally: Tally,
    journalled: JournalledReadings | None,
    relay: Obedience | None,
) -> DeviceView:
    """Return one meter.

    Args:
        device: Its address.
        known: Its row, if it is registered.
        tally: What is applied of it.
        journalled: What this node has of it, if it is its home.
        relay: What this node knows of its relay, if it is its home and it has one.
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
        None if relay is None else _relay(relay),
    )


def _relay(one: Obedience) -> RelayView:
    return RelayView(
        one.limit_w,
        None if one.limit_w is None else one.since_ms,
        one.served_index,
        one.said_limit_w,
        one.said_index,
        one.disobeys,
        one.excess_wh,
        one.disobeyed_at_ms,
    )


def _some(address: bytes) -> Address | None:
    return None if address == NO_ADDRESS else Address(address)
