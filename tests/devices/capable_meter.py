"""A capable meter before a real ledger, with a disk, and a network that may lose all it posts."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from devices.capable import (
    CapableEffect,
    CapableMeter,
    CapableState,
    Heard,
    Post,
    StoreCapable,
    Switched,
    Tell,
    Unbelieved,
    Work,
    decode_state,
)
from devices.messages import RelayStatus, read_message
from devices.sources.rows import Registers, SourceRow
from energy.units import DAY_MS
from tangle.effects import Instant
from tangle.work import find_nonce
from tests.community import START_MS
from tests.devices.village import (
    METER,
    NETWORK,
    TERMS,
    Village,
)

SLOT_MS = DAY_MS // 4
MIDNIGHT_MS = (START_MS // DAY_MS + 1) * DAY_MS


@dataclass
class Meter:
    """A capable meter with a disk, and what it would post: some of it is lost, if asked."""

    rng: random.Random = field(default_factory=lambda: random.Random(0))
    loses: float = 0.0
    disk: bytes | None = None
    registers: Registers = field(default_factory=lambda: Registers(0, 0))
    source: Registers = field(default_factory=lambda: Registers(0, 0))
    read_until_ms: int = MIDNIGHT_MS - DAY_MS
    posted: list[bytes] = field(default_factory=list)
    told: list[RelayStatus] = field(default_factory=list)
    switched: list[int | None] = field(default_factory=list)
    unbelieved: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Go on from what is on disk, as after a kill."""
        self.core = CapableMeter(TERMS, decode_state(self.disk))

    @property
    def state(self) -> CapableState:
        return self.core.state

    def carry_out(self, effects: Sequence[CapableEffect], now: Instant) -> None:
        """Do as the shell does; the process may end before any effect."""
        for effect in effects:
            if self.rng.random() < self.loses / 10:
                self.restart()
                self.core.connected(now)
                return
            match effect:
                case StoreCapable(data):
                    self.disk = data
                case Work(tx_id, bits):
                    self.carry_out(self.core.worked(tx_id, find_nonce(tx_id, bits), now), now)
                case Post(data):
                    self.posted.append(data)
                case Tell(data):
                    told = read_message(data, METER.public, NETWORK)
                    assert isinstance(told, RelayStatus)
                    self.told.append(told)
                case Switched(relay):
                    self.switched.append(relay.limit_w)
                case Unbelieved(error):
                    self.unbelieved.append(str(error))
                case Heard():
                    pass

    def reads(self, import_wh: int, export_wh: int, length_ms: int = SLOT_MS) -> None:
        """Let one more interval pass, and its reading be stored."""
        start_ms, self.read_until_ms = self.read_until_ms, self.read_until_ms + length_ms
        self.source = Registers(
            self.source.import_wh + import_wh, self.source.export_wh + export_wh
        )
        row = SourceRow(start_ms, self.read_until_ms, self.source, "measured")
        self.registers = self.core.read(self.registers, row).registers
        self.disk = self.core.stored()

    def hears(self, village: Village, *, standing: bytes | None = None) -> None:
        """Get tips and standing of this moment, at this moment."""
        now = village.now()
        self.carry_out(self.core.receive_tips(village.tips(), now), now)
        data = village.standing() if standing is None else standing
        self.carry_out(self.core.receive_standing(data, now), now)
        self.carry_out(self.core.tick(now), now)

    def delivers(self, village: Village) -> None:
        """Have all posts arrive that are not lost, and the answers that are not."""
        for data in self.posted:
            if self.rng.random() < self.loses:
                continue
            said = village.take(data)
            if self.rng.random() >= self.loses:
                now = village.now()
                self.carry_out(self.core.receive_answer(said, now), now)
        self.posted.clear()

    def accounted_wh(self) -> tuple[int, int]:
        """Return all surplus and all deficit that its state knows of."""
        state, totals = self.state.reports, self.state.reports.totals
        waiting = {"recharge": 0, "consume": 0}
        for one in state.waiting:
            waiting[one.kind] += one.energy_wh
        surplus = totals.recharged_wh + totals.refused_wh + totals.grid_in_wh
        deficit = totals.consumed_wh + totals.refused_consumed_wh + totals.grid_out_wh
        return (
            surplus + state.surplus_wh + state.closed_surplus_wh + waiting["recharge"],
            deficit + state.deficit_wh + state.closed_deficit_wh + waiting["consume"],
        )


def begun(tokens: int = 1) -> tuple[Village, Meter]:
    """Return a village whose last milestone is of the midnight after the meter's first day."""
    village, meter = Village(), Meter()
    village.begin(tokens)
    village.confirm(MIDNIGHT_MS - village.ledger_ms)
    meter.carry_out(meter.core.connected(village.now()), village.now())
    return village, meter
