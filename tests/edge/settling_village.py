"""Two nodes and what they say to each other: one settles a battery, members are homed at both.

Frames are signed, sent and verified as on the mesh; a test may lose them, double them, read them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from edge.mesh.frames import Body, Numbering, sign_frame, verify_frame
from edge.mesh.mesh import PeerStatus
from edge.mesh.slot_sums import SumsAnswer, SumsQuery
from tangle.effects import PeerId
from tangle.genesis import network_id
from tangle.keys import SigningKey
from tests.community import edge_key
from tests.edge.settling_home import ANNA, HOUR_MS, SettlingHome
from tests.tangle.cores import EDGE, GENESIS

OTHER: Final = edge_key(1)
"""Of the node that settles nothing."""

STRANGER: Final = edge_key(2)
"""Of a peer that nobody named."""

NETWORK: Final = network_id(GENESIS)
ROUNDS: Final = 12


class Wire:
    """Frames on their way between the nodes of a test."""

    def __init__(self, *keys: SigningKey) -> None:
        self.peers = {PeerId(key.public) for key in keys}
        self.frames: list[tuple[PeerId | None, bytes]] = []
        self.overheard: list[bytes] = []
        """All frames with slot sums, as they were sent."""

        self.loses: Callable[[PeerId, Body], bool] = lambda _to, _body: False
        self.doubles = False

    def send(self, to: PeerId | None, data: bytes, body: Body) -> None:
        if isinstance(body, SumsAnswer):
            self.overheard.append(data)
        self.frames += [(to, data)] * (2 if self.doubles else 1)


class WireGossip:
    """One node's end of the wire."""

    waiting_out = 0

    def __init__(self, wire: Wire, key: SigningKey, epoch: int = 1) -> None:
        self._wire = wire
        self._key = key
        self._own = PeerId(key.public)
        self._numbering = Numbering(epoch)

    def broadcast(self, body: Body) -> None:
        self._post(None, body)

    def send(self, peer: PeerId, body: Body) -> None:
        self._post(peer, body)

    def ban(self, peer: PeerId, until_wall_ms: int) -> None:
        raise AssertionError(f"{peer.hex()} is banned until {until_wall_ms}")

    def peers(self) -> tuple[PeerStatus, ...]:
        others = sorted(self._wire.peers - {self._own})
        return tuple(PeerStatus(peer, "", 0, 0, 0, 0, True) for peer in others)

    def _post(self, to: PeerId | None, body: Body) -> None:
        data = sign_frame(self._key, NETWORK, self._numbering.epoch, self._numbering.next(), body)
        self._wire.send(to, data, body)


class Village:
    """The settling node, and the other one at which some members are homed."""

    def __init__(self, folder: Path, *, patience_ms: int = HOUR_MS) -> None:
        self.wire = Wire(EDGE, OTHER)
        self.settler = SettlingHome(
            folder / "settler", patience_ms=patience_ms, gossip=WireGossip(self.wire, EDGE)
        )
        self.home = SettlingHome(
            folder / "home",
            patience_ms=patience_ms,
            key=OTHER,
            settles=False,
            gossip=WireGossip(self.wire, OTHER),
        )
        self.nodes = {PeerId(one.key.public): one for one in (self.settler, self.home)}
        self._survived: type[Exception] | None = None

    def close(self) -> None:
        for node in self.nodes.values():
            node.journal.close()

    def gossip_of(self, key: SigningKey) -> WireGossip:
        """Return another node's end of the wire."""
        return WireGossip(self.wire, key, epoch=2)

    def survives(self, error: type[Exception]) -> None:
        """Let a node whose step raises an error begin anew from its journal."""
        self._survived = error

    def found(self, homes: Mapping[SigningKey, SigningKey] | None = None) -> None:
        """As `SettlingHome.found`, by default with Anna homed at the other node."""
        self.settler.found(homes={ANNA: OTHER} if homes is None else homes)
        self.deliver()
        self.home.step()

    def deliver(self) -> None:
        """Let all frames arrive, and what is said in answer."""
        while self.wire.frames:
            frames, self.wire.frames = self.wire.frames, []
            for to, data in frames:
                frame = verify_frame(data, NETWORK, [*self.nodes, STRANGER.public])
                sender = PeerId(frame.sender)
                for peer in [to] if to is not None else sorted(self.nodes.keys() - {sender}):
                    if peer in self.nodes and not self.wire.loses(peer, frame.body):
                        self._hear(self.nodes[peer], sender, frame.body)

    def _hear(self, node: SettlingHome, sender: PeerId, body: Body) -> None:
        node.now_ms = max(one.now_ms for one in self.nodes.values())
        now = node.clock.instant()
        node.executor.hear([(sender, body)], now)
        while node.executor.is_behind or node.executor.is_busy:
            node.executor.hear([], now)

    def confirm(self, now_ms: int | None = None) -> None:
        self.settler.confirm(now_ms)
        self.home.now_ms = self.settler.now_ms
        self.deliver()
        assert self.home.core.confirmed_id == self.settler.core.confirmed_id

    def step(self) -> None:
        """Let both look once, the frames between them delivered."""
        for node in (self.settler, self.home, self.settler):
            try:
                node.step()
            except Exception as error:
                if self._survived is None or not isinstance(error, self._survived):
                    raise
                node.start()
            self.deliver()

    def settle(self, hours: int = 1) -> None:
        for _ in range(hours):
            self.next_hour()
            self.report()

    def next_hour(self) -> None:
        self.confirm((self.settler.clock.instant().ledger_ms // HOUR_MS + 1) * HOUR_MS + 1_000)

    def report(self, rounds: int = ROUNDS) -> None:
        for _ in range(rounds):
            self.step()
            self.confirm()

    def hour(self, number: int, **registers: tuple[int, int]) -> None:
        """As `SettlingHome.hour`: Anna's readings come to the other node."""
        anna = {name: pair for name, pair in registers.items() if name == "anna"}
        self.home.hour(number, **anna)
        self.settler.hour(number, **{name: registers[name] for name in registers.keys() - anna})

    def two_hours(self) -> None:
        """Anna's sun charges the battery in the first hour; both draw from it in the second."""
        self.hour(0, anna=(0, 0), bert=(0, 0), unit=(0, 0))
        self.hour(1, anna=(0, 4_000), bert=(500, 0), unit=(3_000, 0))
        self.hour(2, anna=(1_000, 4_000), bert=(2_500, 0), unit=(3_000, 2_400))

    def still_hour(self, number: int) -> None:
        """Have all meters read what they read at the end of the second hour."""
        self.hour(number, anna=(1_000, 4_000), bert=(2_500, 0), unit=(3_000, 2_400))


def is_of_sums(body: Body) -> bool:
    return isinstance(body, SumsQuery | SumsAnswer)
