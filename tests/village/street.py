"""What the meters of the community say, slot by slot: real sources, real readings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from devices.reading import Reading, encode_reading, sign_reading
from devices.sources.rows import Position
from tangle.address import Address, address_of
from tests.village.community import Metered


@dataclass(slots=True)
class Street:
    """All meters, and how far each has read."""

    network: bytes
    meters: Sequence[Metered]
    positions: dict[Address, Position] = field(default_factory=dict)

    def slot(self) -> Iterator[tuple[Address, bytes]]:
        """Yield the signed reading of each meter at the end of its next slot."""
        for meter in self.meters:
            device = address_of(meter.key.public)
            before = self.positions.get(device, Position())
            row = meter.source.row(before)
            assert row is not None, "these sources have no end"
            self.positions[device] = Position(before.rows + 1, row.interval_end_ms, row.registers)
            plain = Reading(
                self.network,
                device,
                before.rows,
                row.interval_start_ms,
                row.interval_end_ms,
                row.registers.import_wh,
                row.registers.export_wh,
                row.quality,
            )
            yield device, encode_reading(sign_reading(plain, meter.key))
