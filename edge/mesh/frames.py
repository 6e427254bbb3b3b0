"""Gossip frames: what one node says to another, numbered and signed by the one that sends it.

Pure: bytes in, values out. A frame names its network, its sender and its place in the sender's
count, so that standing and bans have a subject and a frame heard twice is known as such. Who
forwards a transaction puts it into a frame of his own: a frame is signed by the node it comes
from, not by the issuers of what it carries.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from edge.mesh.offers import SnapshotBody
from edge.mesh.slot_sums import SumsBody
from tangle.codec import Decoder, encode
from tangle.effects import PeerId
from tangle.errors import (
    ForeignFrameError,
    ForgedFrameError,
    ReplayedFrameError,
    UnknownSenderError,
)
from tangle.hashing import domain
from tangle.keys import KeyField, SignatureField, SigningKey, is_signed
from tangle.proposals import CoSignature, Proposal
from tangle.transaction import (
    MAX_INTEGER,
    MAX_TRANSACTION_SIZE,
    NETWORK_SIZE,
    Counter,
    HashField,
    Label,
    TransactionId,
)

MAX_FRAME_ITEMS: Final = 64
"""Transactions in one frame: enough that the frame's own signature costs little beside theirs."""

MAX_FRAME_ITEM_BYTES: Final = 2**20
"""Of all transactions of one frame: what a slow link still carries within a second."""

MAX_REQUEST_IDS: Final = 256
MAX_HEARTBEAT_TIPS: Final = 64
FRAME_OVERHEAD: Final = 1_024
"""Room for everything in a frame that is not the bytes of a transaction; some 340 are used."""

MAX_FRAME_SIZE: Final = MAX_FRAME_ITEM_BYTES + FRAME_OVERHEAD
REPLAY_WINDOW: Final = 256
"""Frames of one sender that may overtake each other on their way, and none of them is lost."""

Item = Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_TRANSACTION_SIZE)]


def _verify_count(what: str, count: int, least: int, most: int) -> None:
    if not least <= count <= most:
        raise ValueError(f"{count} {what} in one frame: from {least} to {most} are allowed")


class Transactions(msgspec.Struct, frozen=True, array_like=True, tag="transactions"):
    """Transactions the sender has attached, or was asked for."""

    items: tuple[Item, ...]
    """Canonical bytes with witness; at most `MAX_FRAME_ITEM_BYTES` in all, parents first."""

    def __post_init__(self) -> None:
        _verify_count("transactions", len(self.items), 1, MAX_FRAME_ITEMS)
        size = sum(map(len, self.items))
        if size > MAX_FRAME_ITEM_BYTES:
            raise ValueError(
                f"transactions of {size} bytes in one frame: the maximum is {MAX_FRAME_ITEM_BYTES}"
            )


class Request(msgspec.Struct, frozen=True, array_like=True, tag="request"):
    """Transactions the sender asks for."""

    ids: tuple[HashField, ...]

    def __post_init__(self) -> None:
        _verify_count("requested ids", len(self.ids), 1, MAX_REQUEST_IDS)


class Heartbeat(msgspec.Struct, frozen=True, array_like=True, tag="heartbeat"):
    """Where the sender stands. Heals every loss: a peer asks for the tips it does not know."""

    confirmed_index: Counter
    """Index of the last milestone applied; 0 for the genesis alone."""

    confirmed_id: HashField
    """Id of that milestone; of the first entry point at index 0."""

    tips: tuple[HashField, ...]
    """Some of the sender's tips, none when it has none."""

    version: Label
    """Of the sender's software, for people to read."""

    oldest_cone: Counter = 1
    """Smallest milestone index whose cone the sender can still give; 1 where all is kept."""

    def __post_init__(self) -> None:
        _verify_count("tips", len(self.tips), 0, MAX_HEARTBEAT_TIPS)


class ConeRequest(msgspec.Struct, frozen=True, array_like=True, tag="cone"):
    """One milestone the sender asks for: what it references in white-flag order, then itself.

    Answered with ordinary `Transactions`, in the order of the requests: whoever is far behind
    can attach and apply as it reads.
    """

    index: Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)]


Body = (
    Transactions
    | Request
    | Heartbeat
    | ConeRequest
    | Proposal
    | CoSignature
    | SnapshotBody
    | SumsBody
)


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """The signed fields of a frame."""

    network: Annotated[bytes, msgspec.Meta(min_length=NETWORK_SIZE, max_length=NETWORK_SIZE)]
    sender: KeyField
    """The `PeerId` of the node that sends it."""

    epoch: Counter
    """Grows with each start of the sender, whose count then begins anew."""

    number: Counter
    """Place in the sender's count, one for all receivers: gaps are no loss."""

    body: Body


class SignedFrame(msgspec.Struct, frozen=True, array_like=True):
    """A frame as it goes over the wire."""

    frame: Frame
    signature: SignatureField
    """By the sender, over the domain prefix and the canonical frame."""


_decoder: Final = Decoder(SignedFrame, "frame", MAX_FRAME_SIZE)
_DOMAIN: Final = domain("frame")


def sign_frame(key: SigningKey, network: bytes, epoch: int, number: int, body: Body) -> bytes:
    """Return the canonical bytes of the signed frame in which `key`'s node says `body`."""
    frame = Frame(network, key.public, epoch, number, body)
    return encode(SignedFrame(frame, key.sign(_DOMAIN + encode(frame))))


def decode_frame(data: bytes) -> SignedFrame:
    """Parse canonical bytes. Raises `MalformedBytesError`; checks no signature."""
    return _decoder.decode(data)


def verify_signed_frame(signed: SignedFrame, network: bytes, peers: Container[bytes]) -> Frame:
    """Return the frame, once it is known to be of a peer of this network.

    The cheap rules come first, so that a stranger costs no signature check.

    Raises:
        ForeignFrameError: It names another network.
        UnknownSenderError: Its sender is not among `peers`.
        ForgedFrameError: The signature is not the sender's.
    """
    frame = signed.frame
    if frame.network != network:
        raise ForeignFrameError(
            f"frame for network {frame.network.hex()}: this one is {network.hex()}"
        )
    if frame.sender not in peers:
        raise UnknownSenderError(f"sender {frame.sender.hex()} is not among the configured peers")
    if not is_signed(frame.sender, _DOMAIN + encode(frame), signed.signature):
        raise ForgedFrameError(
            f"frame {frame.epoch}/{frame.number}: signature {signed.signature[:8].hex()}…"
            f" is not by its sender {frame.sender.hex()}"
        )
    return frame


def verify_frame(data: bytes, network: bytes, peers: Container[bytes]) -> Frame:
    """Parse `data` and check its signature; of the sender's count see `ReplayGuard`.

    Raises:
        MalformedBytesError: Not the canonical bytes of a frame within the limits.
        InvalidFrameError: As `verify_signed_frame`.
    """
    return verify_signed_frame(decode_frame(data), network, peers)


def split(items: Iterable[bytes]) -> tuple[Transactions, ...]:
    """Return the fewest frames that carry `items` (canonical transactions) in their order.

    Raises:
        ValueError: An item is larger than any transaction may be, or empty.
    """
    bodies: list[Transactions] = []
    batch: list[bytes] = []
    size = 0
    for item in items:
        if not 1 <= len(item) <= MAX_TRANSACTION_SIZE:
            raise ValueError(
                f"item of {len(item)} bytes: a transaction has 1 to {MAX_TRANSACTION_SIZE}"
            )
        if len(batch) == MAX_FRAME_ITEMS or size + len(item) > MAX_FRAME_ITEM_BYTES:
            bodies.append(Transactions(tuple(batch)))
            batch, size = [], 0
        batch.append(item)
        size += len(item)
    if batch:
        bodies.append(Transactions(tuple(batch)))
    return tuple(bodies)


def split_request(tx_ids: Sequence[TransactionId]) -> tuple[Request, ...]:
    """Return the fewest frames that ask for `tx_ids` in their order."""
    starts = range(0, len(tx_ids), MAX_REQUEST_IDS)
    return tuple(Request(tuple(tx_ids[at : at + MAX_REQUEST_IDS])) for at in starts)


class Numbering:
    """Counts the frames that one start of a node sends."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self._next = 0

    def next(self) -> int:
        """Return the number of the next frame, from 0; each only once."""
        number = self._next
        self._next += 1
        return number


@dataclass(frozen=True, slots=True)
class _Heard:
    """What was heard of one sender in its latest epoch."""

    epoch: int
    highest: int
    """Largest number heard."""

    recent: int
    """Bit n is set when `highest` − n was heard; `REPLAY_WINDOW` bits."""


class ReplayGuard:
    """Accepts each frame of a sender once, in nearly any order (as DTLS, RFC 6347 4.1.2.6).

    Bounded by the number of peers: only verified frames are shown to it. It remembers nothing
    across a restart of the receiver: a frame of the sender's running epoch could then be
    replayed, and one of an older epoch too, until the sender is heard again. That is harmless,
    since what a frame carries takes effect only once.
    """

    def __init__(self) -> None:
        self._heard: dict[PeerId, _Heard] = {}

    def accept(self, frame: Frame) -> None:
        """Note that a verified frame was heard.

        Raises:
            ReplayedFrameError: It was heard before, or lies further back than the window or in
                an older epoch, so that nobody can tell.
        """
        sender = PeerId(frame.sender)
        self._heard[sender] = _hear(self._heard.get(sender), frame)


def _hear(heard: _Heard | None, frame: Frame) -> _Heard:
    if heard is None or frame.epoch > heard.epoch:
        return _Heard(frame.epoch, frame.number, 1)
    place = f"frame {frame.epoch}/{frame.number} of {frame.sender.hex()}"
    if frame.epoch < heard.epoch:
        raise ReplayedFrameError(f"{place}: its sender has reached epoch {heard.epoch}")
    ahead = frame.number - heard.highest
    if ahead >= REPLAY_WINDOW:  # apart from the rest: a shift by 2^63 bits would take all memory
        return _Heard(heard.epoch, frame.number, 1)
    if ahead > 0:
        recent = (heard.recent << ahead | 1) & ((1 << REPLAY_WINDOW) - 1)
        return _Heard(heard.epoch, frame.number, recent)
    if -ahead >= REPLAY_WINDOW:
        raise ReplayedFrameError(
            f"{place}: {-ahead} behind the latest, of a window of {REPLAY_WINDOW}"
        )
    if heard.recent >> -ahead & 1:
        raise ReplayedFrameError(f"{place}: heard before")
    return _Heard(heard.epoch, heard.highest, heard.recent | 1 << -ahead)
