"""Ten made-up homes, their roofs and a battery between them: what their meters say."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from devices.reading import Reading, encode_reading, sign_reading
from devices.sources.household import HouseholdProfile
from devices.sources.rows import ZERO, Registers
from devices.sources.synthetic import SyntheticHome, home_of, load_wh, pv_wh
from energy.settlement.slots import SLOT_MS
from energy.units import HOUR_MS, PPM
from tangle.address import Address, address_of
from tangle.keys import SigningKey

SEED: Final = 4
CAPACITY_WH: Final = 120_000
EFFICIENCY_PPM: Final = 900_000
POWER_W: Final = 15_000
RESERVE_WH: Final = 500
"""Never given away: what the ledger rounds off, report by report."""


@dataclass(slots=True)
class Street:
    """The meters of all homes and of the battery, and what they have counted."""

    network: bytes
    homes: tuple[SyntheticHome, ...]
    grid: tuple[SigningKey, ...]
    """Where each home meets the grid."""

    roofs: tuple[SigningKey, ...]
    battery: SigningKey
    set_aside: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By number of the home: its open session's, and what of it the battery has not given yet."""

    registers: dict[Address, Registers] = field(default_factory=dict)
    sequences: dict[Address, int] = field(default_factory=dict)

    def slot(self, start_ms: int) -> Iterator[tuple[Address, bytes]]:
        """Live through a slot; yield the signed reading of each meter at its end."""
        net: list[int] = []
        for home, grid, roof in zip(self.homes, self.grid, self.roofs, strict=True):
            made_wh = pv_wh(home, start_ms, start_ms + SLOT_MS)
            used_wh = load_wh(home, start_ms, start_ms + SLOT_MS)
            net.append(used_wh - made_wh)
            yield self._read(roof, start_ms, 0, made_wh)
            yield self._read(grid, start_ms, max(0, used_wh - made_wh), max(0, made_wh - used_wh))
        yield self._read(self.battery, start_ms, *self._followed(net))

    def hear(self, number: int, session: int | None, energy_wh: int) -> None:
        """Hear what the ledger says a home has set aside; what was given before, it knows itself.

        Args:
            number: Of the home.
            session: The number of its open session, `None` if it has none.
            energy_wh: What that one held when it was opened.
        """
        if session is None:
            self.set_aside.pop(number, None)
        elif self.set_aside.get(number, (None, 0))[0] != session:
            self.set_aside[number] = (session, energy_wh)

    def held_wh(self) -> int:
        """Return what the battery holds by its registers, its loss taken off."""
        counted = self.registers.get(address_of(self.battery.public), ZERO)
        return counted.import_wh * EFFICIENCY_PPM // PPM - counted.export_wh

    def _followed(self, net: list[int]) -> tuple[int, int]:
        """Return charge and discharge: it takes what is left over, and gives what is set aside."""
        most_wh, held_wh = POWER_W * SLOT_MS // HOUR_MS, self.held_wh()
        if sum(net) < 0:
            room_wh = (CAPACITY_WH - held_wh) * PPM // EFFICIENCY_PPM
            return min(-sum(net), most_wh, room_wh), 0
        left_wh = min(sum(net), most_wh, max(0, held_wh - RESERVE_WH))
        given_wh = 0
        for number, (session, aside_wh) in self.set_aside.items():
            part_wh = max(0, min(net[number], aside_wh, left_wh - given_wh))
            self.set_aside[number] = (session, aside_wh - part_wh)
            given_wh += part_wh
        return 0, given_wh

    def _read(
        self, meter: SigningKey, start_ms: int, import_wh: int, export_wh: int
    ) -> tuple[Address, bytes]:
        device = address_of(meter.public)
        before, sequence = self.registers.get(device, ZERO), self.sequences.get(device, 0)
        counted = Registers(before.import_wh + import_wh, before.export_wh + export_wh)
        self.registers[device], self.sequences[device] = counted, sequence + 1
        plain = Reading(
            self.network,
            device,
            sequence,
            start_ms,
            start_ms + SLOT_MS,
            counted.import_wh,
            counted.export_wh,
            "measured",
        )
        return device, encode_reading(sign_reading(plain, meter))


def homes_of(
    profile: HouseholdProfile, count: int, first_slot_ms: int
) -> tuple[SyntheticHome, ...]:
    """Return the homes of the street."""
    return tuple(
        SyntheticHome(SEED, home_of(SEED, number), profile, first_slot_ms)
        for number in range(count)
    )
