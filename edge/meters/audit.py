"""Whether the ledger commits to what the meters signed: every root, from the readings up."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from devices.reading import decode_reading, salted_leaf
from edge.ground.spans import Span, Spans, added, size, without
from edge.journal.entries import AppliedBatch
from edge.journal.sealing import SaltedReading
from tangle.address import Address, encode_address
from tangle.merkle import merkle_root

MAX_MISMATCHES: Final = 100
"""Named in full; beyond that the count tells enough."""

OpenReadings = Callable[[Address, int, int], Iterable[tuple[int, SaltedReading]]]
"""Returns the journalled readings of a device from first to last sequence, opened, in order."""


@dataclass(frozen=True, slots=True)
class DeviceAudit:
    """What the journal and the ledger say of one meter."""

    journalled: int
    committed: int
    """Journalled readings under a root that an applied batch carries and that was recomputed."""

    twice: int
    """Readings in more than one applied batch: the ledger's rules forbid it."""

    last_sequence: int
    import_wh: int
    """Register of the last journalled reading."""

    export_wh: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What a recomputation of all roots found."""

    devices: Mapping[Address, DeviceAudit]
    batches: int
    """Recomputed."""

    mismatch_count: int
    mismatches: tuple[str, ...]
    """The first hundred, each naming the transaction, the readings and both roots."""

    @property
    def journalled(self) -> int:
        """Readings in the journal."""
        return sum(device.journalled for device in self.devices.values())

    @property
    def committed(self) -> int:
        """Readings that the ledger provably commits to, once each."""
        return sum(device.committed for device in self.devices.values())

    @property
    def lost(self) -> int:
        """Readings that are journalled and not committed to."""
        return self.journalled - self.committed

    @property
    def twice(self) -> int:
        """Readings that the ledger commits to more than once."""
        return sum(device.twice for device in self.devices.values())


def audit(
    meters: Mapping[Address, Spans],
    applied: Mapping[Address, Iterable[AppliedBatch]],
    readings: OpenReadings,
) -> Audit:
    """Recompute the root of every applied batch of the meters homed here.

    Args:
        meters: Journalled sequences by device (`Journal.meters`).
        applied: Applied batches by device (`Journal.confirmed_readings`).
        readings: Reads the journal and opens the seals.

    Returns:
        The findings. A batch from before the journal began (its disk was lost) is a mismatch.
    """
    devices: dict[Address, DeviceAudit] = {}
    mismatches: list[str] = []
    batches = 0
    for device, journalled in sorted(meters.items()):
        claims = tuple(applied.get(device, ()))
        faults = {claim.tx_id: _fault(device, claim, readings) for claim in claims}
        proven = [_span(claim) for claim in claims if faults[claim.tx_id] is None]
        devices[device] = _device_audit(device, journalled, proven, claims, readings)
        mismatches.extend(fault for fault in faults.values() if fault is not None)
        batches += len(claims)
    return Audit(devices, batches, len(mismatches), tuple(mismatches[:MAX_MISMATCHES]))


def _device_audit(
    device: Address,
    journalled: Spans,
    proven: Iterable[Span],
    claims: Sequence[AppliedBatch],
    readings: OpenReadings,
) -> DeviceAudit:
    claimed = [_span(claim) for claim in claims]
    missing = without(journalled, proven)
    _, last = journalled[-1]
    ((_, newest),) = readings(device, last, last)
    reading = decode_reading(newest.signed).reading
    return DeviceAudit(
        journalled=size(journalled),
        committed=size(journalled) - size(missing),
        twice=size(claimed) - size(added((), claimed)),
        last_sequence=last,
        import_wh=reading.import_wh,
        export_wh=reading.export_wh,
    )


def _fault(device: Address, claim: AppliedBatch, readings: OpenReadings) -> str | None:
    """Return how a batch contradicts the journal, `None` if it does not."""
    first, last = _span(claim)
    name = (
        f"transaction {claim.tx_id.hex()}, readings {first} to {last} of {encode_address(device)}"
    )
    leaves, expected = [], first
    for sequence, content in readings(device, first, last):
        if sequence != expected:
            break
        leaves.append(salted_leaf(content.salt, content.signed))
        expected += 1
    if expected <= last:
        return f"{name}: reading {expected} is not in the journal"
    root = merkle_root(leaves)
    if root != claim.root:
        return f"{name}: root {claim.root.hex()}, the journal makes {root.hex()}"
    return None


def _span(claim: AppliedBatch) -> Span:
    return claim.first_sequence, claim.last_sequence
