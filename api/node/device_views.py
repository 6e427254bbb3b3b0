"""Meters as people ask for them: what ledger and journal say of each."""

from collections.abc import Mapping

from api.http.service import DeviceView, JournalledReadings, RelayView
from api.node.applied_readings import AppliedReadings, Tally
from devices.reading import decode_reading
from edge.ground.spans import Spans, size
from edge.journal.journal import Journal
from edge.journal.sealing import open_sealed
from edge.meters.obedience import Obedience
from tangle.accounts import NO_ADDRESS, Identity
from tangle.address import Address


class Meters:
    """The meters of one node, and those that the ledger knows."""

    def __init__(self, sealing_key: bytes | None) -> None:
        """Open readings with `sealing_key`; `None` for a node without meters."""
        self._sealing_key = sealing_key
        self._applied = AppliedReadings(sealing_key)

    def views(
        self,
        journal: Journal,
        known: Mapping[Address, Identity],
        relays: Mapping[Address, Obedience],
    ) -> tuple[DeviceView, ...]:
        """Return all meters the ledger or the journal knows, ascending by address.

        Args:
            journal: The node's.
            known: Those that the ledger has, by address.
            relays: What this node knows of relays.
        """
        tallies, kept = self._applied.catch_up(journal), journal.meters()
        forgotten = journal.leaving.forgotten()
        return tuple(
            _device_view(
                device,
                known.get(device),
                tallies.get(device, Tally()),
                self._journalled(journal, device, kept.get(device), forgotten.get(device, 0)),
                relays.get(device),
            )
            for device in sorted({*known, *kept, *tallies})
        )

    def _journalled(
        self, journal: Journal, device: Address, kept: Spans | None, forgotten: int
    ) -> JournalledReadings | None:
        if kept is None or self._sealing_key is None:
            return None
        _, last = kept[-1]
        newest = open_sealed(self._sealing_key, journal.readings(device, last, last)[0])
        reading = decode_reading(newest.signed).reading
        count, lost = size(kept), last - kept[0][0] + 1 - size(kept)
        return JournalledReadings(
            count, last, reading.import_wh, reading.export_wh, lost, forgotten
        )


def _device_view(
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
