"""What a node makes of the bytes that meters post: the rules at the door (PROTOCOL §11).

Decides, never does: the shell journals what is accepted, calls `journalled`, and only then
publishes receipts. Until then nothing here has changed, so a failed commit leaves no trace and
the meter, which had no receipt, posts again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from devices.reading import (
    MAX_READING_SIZE,
    SignedReading,
    decode_reading,
    verify_reading,
    verify_successor,
)
from tangle.address import Address, encode_address
from tangle.errors import InvalidError, InvalidReadingError
from tangle.keys import PublicKey

MAX_HOMED_DEVICES: Final = 100_000
"""Meters that one edge node serves: what it keeps of each fits a few hundred bytes."""


@dataclass(frozen=True, slots=True)
class HomedDevice:
    """A meter whose readings this node takes."""

    key: PublicKey
    last: SignedReading | None
    """Newest journalled reading; `None` if there is none."""

    floor: int = 0
    """Lowest sequence to begin with while there is none: one above what the ledger shows as
    taken. A node that lost its disk must not commit to a reading a second time."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """To be journalled; then `Intake.journalled` and a receipt."""

    device: Address
    signed: SignedReading
    payload: bytes
    """Its canonical bytes."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """Taken already: the receipt was lost, so it is published again."""

    device: Address
    through: int
    """What the receipt says once the arrivals before this one are journalled."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Readings before it are missing: the receipt, again, tells the meter where to go on."""

    device: Address
    through: int
    """What the receipt says once the arrivals before this one are journalled."""

    sequence: int
    """What came instead of the next one."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What a meter must not send. Nothing answers it."""

    device: Address
    error: InvalidError


IntakeResult = Accepted | Repeated | Gap | Refused


class Intake:
    """The meters homed at one node, and how far each has got. No input or output."""

    def __init__(self, network: bytes, devices: Mapping[Address, HomedDevice]) -> None:
        """Start from what is journalled.

        Args:
            network: First 8 bytes of the genesis hash.
            devices: The meters homed here.
        """
        self._network = network
        self._devices = dict(devices)
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

    def receive(self, device: Address, payload: bytes) -> IntakeResult:
        """Judge one arrival against what is journalled."""
        return self.receive_all([(device, payload)])[0]

    def receive_all(self, arrivals: Iterable[tuple[Address, bytes]]) -> list[IntakeResult]:
        """Judge arrivals that are to be journalled in one commit, each as if those before were.

        Args:
            arrivals: The device that the topic names, and what was posted there.

        Returns:
            One result per arrival, in order.
        """
        ahead: dict[Address, HomedDevice] = {}
        results = []
        for device, payload in arrivals:
            homed = ahead.get(device) or self._devices.get(device)
            result = self._judge(device, homed, payload)
            if isinstance(result, Accepted) and homed is not None:
                ahead[device] = HomedDevice(homed.key, result.signed)
            self.counts[type(result).__name__.lower()] += 1
            results.append(result)
        return results

    def journalled(self, results: Sequence[IntakeResult]) -> None:
        """Move on: what `receive_all` accepted is durable now."""
        for result in results:
            if isinstance(result, Accepted):
                homed = self._devices[result.device]
                last = result.signed.reading.sequence
                assert homed.last is None or last == homed.last.reading.sequence + 1, (
                    f"journalled {last} of {result.device.hex()} out of turn"
                )
                self._devices[result.device] = HomedDevice(homed.key, result.signed)

    def _judge(self, device: Address, homed: HomedDevice | None, payload: bytes) -> IntakeResult:
        try:
            if homed is None:
                raise InvalidReadingError(f"device {encode_address(device)} is not homed here")
            if len(payload) > MAX_READING_SIZE:  # before anything looks at the bytes
                raise InvalidReadingError(
                    f"reading of {len(payload)} bytes: the maximum is {MAX_READING_SIZE}"
                )
            signed = decode_reading(payload)
            verify_reading(signed, homed.key, self._network)
            if signed.reading.device != device:
                raise InvalidReadingError(
                    f"reading of device {encode_address(Address(signed.reading.device))}"
                    f" under the topic of {encode_address(device)}"
                )
            return _placed(device, homed, signed, payload)
        except InvalidError as error:
            return Refused(device, error)


def _placed(
    device: Address, homed: HomedDevice, signed: SignedReading, payload: bytes
) -> IntakeResult:
    """Return what a genuine reading is, by its place in the sequence.

    Raises:
        InvalidReadingError: It contradicts the last one.
    """
    sequence, through = signed.reading.sequence, _through(homed)
    if through is None or (homed.last is None and sequence > through):
        return Accepted(device, signed, payload)
    if homed.last is not None and sequence == through and signed != homed.last:
        raise InvalidReadingError(
            f"reading {sequence} was taken with other content and cannot be changed"
        )
    if sequence <= through:
        return Repeated(device, through)
    if homed.last is None or sequence > through + 1:
        return Gap(device, through, sequence)
    verify_successor(homed.last.reading, signed.reading)
    return Accepted(device, signed, payload)


def _through(homed: HomedDevice) -> int | None:
    if homed.last is not None:
        return homed.last.reading.sequence
    return homed.floor - 1 if homed.floor else None
