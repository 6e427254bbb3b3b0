"""A home edge and its capable meters: state proofs and tips out, whole transactions in.

What goes out needs no trust: standings prove themselves. What comes in is taken like any other
submission, at a door of its own difficulty. And what a relay was asked for is compared with what
the meter reads.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import structlog

from devices.messages import (
    MAX_WHY,
    Answer,
    RelayStatus,
    Said,
    Tips,
    read_message,
    sign_message,
    verify_device,
)
from devices.topics import answer_topic, standing_topic, tips_topic
from edge.ground.clock import Clock
from edge.journal.anchoring import last_anchor
from edge.meters.obedience import Obedience, judged, said, served, unserved
from edge.node.executor import Executor
from edge.node.issuance import Issuance
from edge.node.local_difficulty import LocalDifficulty
from energy.ctt.rows import METER_PREFIX, account, ctt_meter
from energy.ctt.standing import MAX_STANDING_SIZE, limit_of, prove_standing
from tangle.address import Address, encode_address
from tangle.anchors import Anchor
from tangle.effects import Confirmed, Effect, Expired
from tangle.errors import (
    BadSignatureError,
    InvalidError,
    InvalidMessageError,
    MoreWorkNeededError,
    NoTipsError,
    NotProvableError,
    StorageError,
    TanglewattError,
    UnavailableError,
)
from tangle.hashing import digest
from tangle.keys import PublicKey
from tangle.outcomes import Applied, Ignored, Outcome
from tangle.transaction import IssuerWitness, TransactionId
from tangle.verification import Verified, parse
from tangle.work import required_bits

LOOK_S: Final = 0.2
"""How often is looked whether a milestone was applied."""

MAX_IN_FLIGHT: Final = 4_096
"""Transactions of meters whose outcome is told; of more the oldest is forgotten, and the meter
reads it from its standing all the same."""

_log: Final = structlog.get_logger(__name__)


class MeterDoor(Protocol):
    """What is needed of the connection to the meters."""

    is_connected: bool

    def publish(self, topic: str, data: bytes) -> None:
        """Have `data` stand as the newest on `topic`, retained."""
        ...

    async def receive_transactions(self) -> list[tuple[Address, bytes]]:
        """Return what meters posted to the ledger, with the device that the topic names."""
        ...

    async def receive_statuses(self) -> list[tuple[Address, bytes]]:
        """Return what meters said of their relays, with the device that the topic names."""
        ...


class ServingMeters:
    """The capable meters among those homed at one node. Used on the loop only."""

    def __init__(
        self,
        executor: Executor,
        issuance: Issuance,
        door: MeterDoor,
        clock: Clock,
        keys: Mapping[Address, PublicKey],
    ) -> None:
        """Begin with what the ledger says.

        Args:
            executor: The node's hands.
            issuance: Of the node: chooses parents, and its key signs what is told.
            door: To the broker.
            clock: Of the node.
            keys: Of the meters homed here, by address.
        """
        self._executor = executor
        self._core = executor.core
        self._issuance = issuance
        self._door = door
        self._clock = clock
        self._keys = keys
        self._network = self._core.rules.network
        parameters = self._core.parameters
        self._interval_ms = parameters.milestone_interval_ms * parameters.time_scale
        self._difficulty = LocalDifficulty()
        self._in_flight: OrderedDict[TransactionId, Address] = OrderedDict()
        self._told_index = -1
        self._refused = 0
        self.relays: dict[Address, Obedience] = {
            device: Obedience()
            for device in map(_meter_of, self._core.scan(METER_PREFIX))
            if device in keys
        }
        """By meter: those confirmed for energy accounts, and those that said they can."""

        self.disobeyed = 0
        """Readings in which a meter was held to disobey, since the node began."""

        executor.observe(self._observe)

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tell())
            group.create_task(self._take())
            group.create_task(self._listen())

    # Standings and tips out.

    async def _tell(self) -> None:
        while True:
            await self.step()
            await asyncio.sleep(LOOK_S)

    async def step(self) -> None:
        """Tell every capable meter where it stands, once for each milestone applied meanwhile."""
        if not self._door.is_connected:
            self.relays = {device: unserved(one) for device, one in self.relays.items()}
            return
        if not self.relays or self._told_index == self._core.confirmed_index:
            return
        try:
            anchor = last_anchor(self._core, self._executor.journal)
        except NotProvableError:
            return  # after a start from a snapshot: the next milestone is here
        index = self._core.confirmed_index
        self._told_index = index
        self._publish_tips(index)
        for device in sorted(self.relays):
            if self._core.confirmed_index != index:
                return  # a newer one says more, and the anchor is not that of these rows
            self._publish_standing(device, anchor)
            await asyncio.sleep(0)

    def _publish_tips(self, index: int) -> None:
        try:
            parents = self._issuance.select_parents()
        except NoTipsError:
            return
        tips = Tips(self._network, parents, index)
        topic = tips_topic(self._network, self._issuance.address)
        self._door.publish(topic, sign_message(tips, self._issuance.key))

    def _publish_standing(self, device: Address, anchor: Anchor) -> None:
        ledger = self._core.ledger
        data = prove_standing(anchor, ledger.trie, ledger.rows, device)
        if len(data) > MAX_STANDING_SIZE:
            self._warn_rarely(device, f"its standing has {len(data)} bytes")
            return
        self._door.publish(standing_topic(self._network, device), data)
        confirmed = ctt_meter(ledger.rows, device)
        limit_w = None
        if confirmed is not None:
            limit_w = limit_of(account(ledger.rows, Address(confirmed.prosumer)))
        one = self.relays[device]
        self.relays[device] = served(one, ledger.index, ledger.timestamp_ms, limit_w)

    # Transactions in.

    async def _take(self) -> None:
        while True:
            for device, data in await self._door.receive_transactions():
                self.take(device, data)
                await asyncio.sleep(0)

    def take(self, device: Address, data: bytes) -> None:
        """Take in what a meter posted, durably, and answer.

        Raises:
            StorageError: It is not durable; the node must stop.
        """
        key = self._keys.get(device)
        if key is None:
            return
        try:
            verified = parse(data)
        except InvalidError as error:
            self._answer(device, TransactionId(digest(data)), "refused", error)
            return
        try:
            self._submit(key, verified, data)
        except StorageError:
            raise
        except (InvalidError, UnavailableError) as error:
            self._answer(device, verified.tx_id, "refused", error)
            return
        self._in_flight[verified.tx_id] = device
        if len(self._in_flight) > MAX_IN_FLIGHT:
            self._in_flight.popitem(last=False)
        self._answer(device, verified.tx_id, "taken")

    def _submit(self, key: PublicKey, verified: Verified, data: bytes) -> None:
        issuer, witness, now = verified.transaction.issuer, verified.witness, self._clock.instant()
        if issuer != key or not isinstance(witness, IssuerWitness):
            raise BadSignatureError(
                f"issuer {issuer.hex()} is not the meter whose topic this is: {key.hex()}"
            )
        is_new = not self._core.is_known(verified.tx_id)
        if is_new:
            base = required_bits(verified.size_bytes, self._core.rules.work_per_byte)
            self._difficulty.verify(issuer, verified.tx_id, witness.nonce, base, now.wall_ms)
        self._executor.carry_out(self._core.submit(data, now), now)
        if is_new:
            self._difficulty.taken(issuer, now.wall_ms)

    def _answer(
        self,
        device: Address,
        tx_id: TransactionId,
        what: Said,
        error: TanglewattError | None = None,
        reason: str = "",
    ) -> None:
        key, now_ms = self._keys[device], self._clock.wall_ms()
        more_bits = self._difficulty.more_bits(key, now_ms)
        if isinstance(error, MoreWorkNeededError):
            more_bits = max(more_bits, 1)
        code = reason if error is None else type(error).__name__
        why = "" if error is None else str(error)[:MAX_WHY]
        answer = Answer(self._network, device, tx_id, what, code, why, more_bits)
        topic = answer_topic(self._network, device)
        self._door.publish(topic, sign_message(answer, self._issuance.key))
        if error is not None:
            self._warn_rarely(device, f"its transaction is refused: {error}")

    def _observe(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Confirmed():
                    for tx_id, outcome in effect.outcomes:
                        self._resolved(tx_id, outcome)
                case Expired(tx_id):
                    device = self._in_flight.pop(tx_id, None)
                    if device is not None:
                        self._answer(device, tx_id, "expired")
                case _:
                    pass

    def _resolved(self, tx_id: TransactionId, outcome: Outcome) -> None:
        device = self._in_flight.pop(tx_id, None)
        match outcome:
            case Applied(events=events):
                if device is not None:
                    self._answer(device, tx_id, "applied")
                for event in events:
                    meter = dict(event.fields).get("meter")
                    if event.name == "ctt.confirmed" and isinstance(meter, bytes):
                        self._welcome(Address(meter))
            case Ignored(reason=reason):
                if device is not None:
                    self._answer(device, tx_id, "ignored", reason=reason.value)
            case _:
                pass

    def _welcome(self, device: Address) -> None:
        if device in self._keys and device not in self.relays:
            self.relays[device] = Obedience()
            self._told_index = -1

    # Relays.

    async def _listen(self) -> None:
        while True:
            for device, data in await self._door.receive_statuses():
                self.hear(device, data)

    def hear(self, device: Address, data: bytes) -> None:
        """Note what a meter said of its relay: from now on it is served."""
        key = self._keys.get(device)
        if key is None:
            return
        try:
            status = read_message(data, key, self._network)
            if not isinstance(status, RelayStatus):
                raise InvalidMessageError("what stands on the topic of a relay is none")
            verify_device(status, device)
        except InvalidError as error:
            self._warn_rarely(device, f"what it says of its relay is refused: {error}")
            return
        self._welcome(device)
        one = self.relays[device]
        if status.at_ms >= one.said_at_ms:
            index, at_ms = status.milestone_index, status.at_ms
            self.relays[device] = said(one, status.limit_w, index, at_ms)

    def judge(self, device: Address, interval: tuple[int, int], import_wh: int) -> None:
        """Compare what a meter drew in one reading with what its relay was asked for."""
        before = self.relays.get(device)
        if before is None:
            return
        after = judged(before, interval, import_wh, self._interval_ms)
        self.relays[device] = after
        if after.in_a_row <= before.in_a_row or not after.disobeys:
            return
        self.disobeyed += 1
        if not before.disobeys:
            _log.error(
                "a meter does not obey its relay: somebody should look at it",
                device=encode_address(device),
                limit_w=after.limit_w,
                excess_wh=after.excess_wh,
                since_ms=after.since_ms,
                milestone_index=after.served_index,
                says_w=after.said_limit_w,
            )

    def _warn_rarely(self, device: Address, what: str) -> None:
        """Say the 1st, 2nd, 4th … time: a meter that goes wrong fills no log."""
        self._refused += 1
        if self._refused & (self._refused - 1) == 0:
            _log.warning(
                "trouble with a capable meter",
                device=encode_address(device),
                what=what,
                so_far=self._refused,
            )


def _meter_of(row: tuple[bytes, bytes]) -> Address:
    return Address(row[0].removeprefix(METER_PREFIX))
