"""What a node makes of the bytes that meters post: the rules at the door (PROTOCOL §11).

Decides, never does: the shell journals what is accepted, calls `journalled`, and only then
publishes receipts. Until then nothing here has changed, so a failed commit leaves no trace and
the meter, which had no receipt, posts again.
"""

from collections import ChainMap, Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from devices.reading import (
    MAX_READING_SIZE,
    Reading,
    SignedReading,
    decode_reading,
    verify_later,
    verify_reading,
    verify_successor,
)
from edge.ground.spans import Span
from tangle.address import Address, encode_address
from tangle.errors import InvalidError, InvalidReadingError
from tangle.keys import PublicKey

MAX_HOMED_DEVICES: Final = 100_000
"""Meters that one edge node serves: what it keeps of each fits a few hundred bytes."""

START_PATIENCE_MS: Final = 10_000
"""How long a first reading above the floor waits for a lower one. A receipt covers all below it,
and a node that subscribes in the middle of a meter's round sees its end first. Rounds start at
the oldest reading kept and come every few seconds: what still starts there is the oldest."""


RESUME_PATIENCE_MS: Final = 60_000
"""How long a meter must have begun its rounds above a gap before the gap is taken for lost: this
node starts from an older backup, and what it receipted since the meter has forgotten. Longer
than at a first start, since what is skipped here is receipted for good: a meter that still has
it posts it at the beginning of each of some six rounds within that time."""

RESUME_ROUNDS: Final = 3
"""Rounds that must have begun there, in case this node was deaf for most of the time."""

MAX_RUNS: Final = 64
"""Runs of readings that one meter may have here; the ledger allows as many gaps."""


@dataclass(frozen=True, slots=True)
class HomedDevice:
    """A meter whose readings this node takes."""

    key: PublicKey
    last: SignedReading | None
    """Newest journalled reading; `None` if there is none."""

    floor: int = 0
    """Where to begin while there is none: one above what the ledger shows as taken. A node that
    lost its disk must not commit to a reading a second time."""

    runs: int = 1
    """How many runs of readings are journalled: gaps, and one more."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """To be journalled; then `Intake.journalled` and a receipt."""

    device: Address
    signed: SignedReading
    payload: bytes
    """Its canonical bytes."""

    lost: Span | None = None
    """Readings before it that neither this journal nor the meter has any more."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """Taken already: the receipt was lost, so it is published again."""

    device: Address
    through: int
    """What the receipt says once the arrivals before this one are journalled."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Readings before it are missing: the receipt, again, tells the meter where to go on.

    If the meter has forgotten them, on an earlier receipt, one of the next rounds is accepted.
    """

    device: Address
    through: int | None
    """What the receipt says once the arrivals before this one are journalled; `None` if there
    is nothing to say: the meter begins anew by itself."""

    sequence: int
    """What came instead of the next one."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What a meter must not send. Nothing answers it."""

    device: Address
    error: InvalidError


IntakeResult = Accepted | Repeated | Gap | Refused

Lookup = Callable[[Address, int], bytes | None]
"""Returns the canonical bytes of a journalled reading, `None` if it is not in the journal."""


class Intake:
    """The meters homed at one node, and how far each has got. No input or output."""

    def __init__(
        self, network: bytes, devices: Mapping[Address, HomedDevice], journalled: Lookup
    ) -> None:
        """Start from what is journalled.

        Args:
            network: First 8 bytes of the genesis hash.
            devices: The meters homed here.
            journalled: Asked only when a reading is repeated, to tell it from an altered one.
        """
        self._network = network
        self._lookup = journalled
        self._devices = dict(devices)
        self._starts: dict[Address, _Start] = {}
        self.counts: Counter[str] = Counter()
        """How many of each result there were, by its name in lower case."""

    def __contains__(self, device: Address) -> bool:
        return device in self._devices

    def home(self, device: Address, homed: HomedDevice) -> None:
        """Take a meter in from now on; what is known of one that is here already stays.

        Raises:
            InvalidReadingError: There are too many.
        """
        if len(self._devices) >= MAX_HOMED_DEVICES:
            raise InvalidReadingError(
                f"{len(self._devices)} meters are homed here: the maximum is {MAX_HOMED_DEVICES}"
            )
        self._devices.setdefault(device, homed)

    def journalled_through(self, device: Address) -> int | None:
        """Return what a receipt for `device` may say now; `None` if there is nothing to say.

        That is the newest journalled sequence or, before the first, the last one that the
        ledger shows as taken: the meter need not keep what is committed.
        """
        return _through(self._devices[device])

    def last_reading(self, device: Address) -> Reading | None:
        """Return the newest journalled reading of a meter homed here; `None` before the first."""
        last = self._devices[device].last
        return None if last is None else last.reading

    def receive(self, device: Address, payload: bytes, now_ms: int) -> IntakeResult:
        """Judge one arrival against what is journalled."""
        return self.receive_all([(device, payload)], now_ms)[0]

    def receive_all(
        self, arrivals: Iterable[tuple[Address, bytes]], now_ms: int
    ) -> list[IntakeResult]:
        """Judge arrivals that are to be journalled in one commit, each as if those before were.

        Args:
            arrivals: The device that the topic names, and what was posted there.
            now_ms: Wall clock.

        Returns:
            One result per arrival, in order.
        """
        devices = ChainMap[Address, HomedDevice]({}, self._devices)
        taken: dict[tuple[Address, int], bytes] = {}
        results: list[IntakeResult] = []
        for device, payload in arrivals:
            try:
                homed = _require_homed(devices, device)
                signed = _verified(device, homed.key, self._network, payload)
                result = self._placed(homed, Accepted(device, signed, payload), taken, now_ms)
            except InvalidError as error:
                result = Refused(device, error)
            if isinstance(result, Accepted):
                devices[device] = _moved(devices[device], result)
                taken[device, result.signed.reading.sequence] = payload
            self.counts[type(result).__name__.lower()] += 1
            results.append(result)
        return results

    def journalled(self, results: Sequence[IntakeResult]) -> None:
        """Move on: what `receive_all` accepted is durable now."""
        for result in results:
            if isinstance(result, Accepted):
                homed = self._devices[result.device]
                last = result.signed.reading.sequence
                expected = last if result.lost is None else result.lost[0]
                assert homed.last is None or expected == homed.last.reading.sequence + 1, (
                    f"journalled {last} of {result.device.hex()} out of turn"
                )
                self._devices[result.device] = _moved(homed, result)
                self._starts.pop(result.device, None)

    def _placed(
        self,
        homed: HomedDevice,
        genuine: Accepted,
        taken: Mapping[tuple[Address, int], bytes],
        now_ms: int,
    ) -> IntakeResult:
        """Return what a genuine reading is, by its place in the sequence.

        Raises:
            InvalidReadingError: It contradicts what was taken.
        """
        device, sequence = genuine.device, genuine.signed.reading.sequence
        through = _through(homed)
        if through is not None and sequence <= through:
            self._starts.pop(device, None)  # the meter still has this one: nothing is lost
            known = taken.get((device, sequence)) or self._lookup(device, sequence)
            # What this journal lost with its disk the ledger holds: nothing to compare with.
            if known is not None and known != genuine.payload:
                raise InvalidReadingError(
                    f"reading {sequence} was taken with other content and cannot be changed"
                )
            return Repeated(device, through)
        if homed.last is None:
            start = self._start(device, sequence, now_ms)
            is_oldest = sequence == start.lowest and now_ms - start.since_ms >= START_PATIENCE_MS
            is_first = sequence == homed.floor or is_oldest
            return genuine if is_first else Gap(device, through, sequence)
        if sequence > homed.last.reading.sequence + 1:
            return self._resumed(homed, homed.last.reading, genuine, now_ms)
        verify_successor(homed.last.reading, genuine.signed.reading)
        return genuine

    def _resumed(
        self, homed: HomedDevice, last: Reading, genuine: Accepted, now_ms: int
    ) -> IntakeResult:
        """Return what a reading above a gap is: too early, or the oldest that the meter has."""
        sequence = genuine.signed.reading.sequence
        start = self._start(genuine.device, sequence, now_ms)
        if (
            sequence > start.lowest
            or start.rounds < RESUME_ROUNDS
            or now_ms - start.since_ms < RESUME_PATIENCE_MS
        ):
            return Gap(genuine.device, last.sequence, sequence)
        if homed.runs >= MAX_RUNS:
            raise InvalidReadingError(
                f"reading {sequence} leaves a gap after {last.sequence}:"
                f" {homed.runs} runs of readings are the maximum"
            )
        verify_later(last, genuine.signed.reading)
        return replace(genuine, lost=(last.sequence + 1, sequence - 1))

    def _start(self, device: Address, sequence: int, now_ms: int) -> "_Start":
        """Note where a meter's round may have begun; return what is known of that."""
        start = self._starts.get(device)
        if start is None or sequence < start.lowest:
            start = _Start(sequence, now_ms, 1)
        elif sequence == start.lowest:
            start = _Start(sequence, start.since_ms, start.rounds + 1)
        self._starts[device] = start
        return start


@dataclass(frozen=True, slots=True)
class _Start:
    """Where the rounds of a meter begin, as far as this node has seen."""

    lowest: int
    since_ms: int
    rounds: int


def _moved(homed: HomedDevice, accepted: Accepted) -> HomedDevice:
    runs = homed.runs if accepted.lost is None else homed.runs + 1
    return HomedDevice(homed.key, accepted.signed, runs=runs)


def _require_homed(devices: Mapping[Address, HomedDevice], device: Address) -> HomedDevice:
    homed = devices.get(device)
    if homed is None:
        raise InvalidReadingError(f"device {encode_address(device)} is not homed here")
    return homed


def _verified(device: Address, key: PublicKey, network: bytes, payload: bytes) -> SignedReading:
    """Return a genuine reading of `device`, or raise an `InvalidError`."""
    if len(payload) > MAX_READING_SIZE:  # before anything looks at the bytes
        raise InvalidReadingError(
            f"reading of {len(payload)} bytes: the maximum is {MAX_READING_SIZE}"
        )
    signed = decode_reading(payload)
    if signed.reading.device != device:
        raise InvalidReadingError(
            f"reading of device {encode_address(Address(signed.reading.device))}"
            f" under the topic of {encode_address(device)}"
        )
    verify_reading(signed, key, network)
    return signed


def _through(homed: HomedDevice) -> int | None:
    if homed.last is not None:
        return homed.last.reading.sequence
    return homed.floor - 1 if homed.floor else None
