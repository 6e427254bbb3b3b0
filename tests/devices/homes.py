"""Meters, edges and sources for the tests of this folder: small, and the same every time."""

from dataclasses import dataclass, field
from typing import Final

from devices.meter import MeterIdentity
from devices.reading import Reading, SignedReading, decode_reading, sign_reading, verify_reading
from devices.receipt import Receipt, encode_receipt, sign_receipt
from devices.sources.household import DAYS, QUARTERS_PER_DAY, WHOLE_PPB, HouseholdProfile
from devices.sources.recorded import Recording
from devices.sources.rows import Registers, SourceRow
from tangle.address import address_of
from tangle.keys import SigningKey

NETWORK: Final = bytes(range(8))
OTHER_NETWORK: Final = bytes(8)
METER: Final = SigningKey(bytes([1]) * 32)
OTHER_METER: Final = SigningKey(bytes([2]) * 32)
EDGE: Final = SigningKey(bytes([3]) * 32)
OTHER_EDGE: Final = SigningKey(bytes([4]) * 32)
DEVICE: Final = address_of(METER.public)
IDENTITY: Final = MeterIdentity(NETWORK, METER, EDGE.public)
SLOT_MS: Final = 900_000


def reading(
    sequence: int = 0,
    *,
    network: bytes = NETWORK,
    device: bytes = DEVICE,
    start_ms: int | None = None,
    end_ms: int | None = None,
    import_wh: int = 100,
    export_wh: int = 50,
) -> Reading:
    """Return a valid reading but for what is asked otherwise; slot n belongs to sequence n."""
    return Reading(
        network=network,
        device=device,
        sequence=sequence,
        interval_start_ms=sequence * SLOT_MS if start_ms is None else start_ms,
        interval_end_ms=(sequence + 1) * SLOT_MS if end_ms is None else end_ms,
        import_wh=import_wh,
        export_wh=export_wh,
        quality="measured",
    )


def signed(sequence: int = 0) -> SignedReading:
    return sign_reading(reading(sequence), METER)


def receipt_bytes(through: int, key: SigningKey = EDGE) -> bytes:
    return encode_receipt(sign_receipt(Receipt(NETWORK, DEVICE, through), key))


def recording(count: int) -> Recording:
    """Return `count` rows; row n ends slot n and reads 10·(n+1) and n+1 Wh."""
    return Recording(
        tuple(
            SourceRow(
                number * SLOT_MS,
                (number + 1) * SLOT_MS,
                Registers(10 * (number + 1), number + 1),
                "measured",
            )
            for number in range(count)
        )
    )


def flat_profile() -> HouseholdProfile:
    """Return a year without day and night: quick to make, and easy to add up."""
    share, rest = divmod(WHOLE_PPB, DAYS * QUARTERS_PER_DAY)
    return HouseholdProfile((share + rest, *[share] * (DAYS * QUARTERS_PER_DAY - 1)))


@dataclass(slots=True)
class JournallingEdge:
    """The other end of go-back-N: takes the next reading, and answers all with its receipt."""

    journal: list[bytes] = field(default_factory=list)

    def receive(self, data: bytes) -> bytes | None:
        """Return the receipt for what is journalled now; `None` while nothing is."""
        arrived = decode_reading(data)
        verify_reading(arrived, METER.public, NETWORK)
        if arrived.reading.sequence == len(self.journal):
            self.journal.append(data)
        return receipt_bytes(len(self.journal) - 1) if self.journal else None

    def readings(self) -> list[Reading]:
        return [decode_reading(data).reading for data in self.journal]
