"""A pre-signed load: the transactions of a made-up community, as bytes, made before the clock runs.

The same numbers give the same bytes. Signing and working cost more than taking in, so a load that
was made while it is measured would measure its maker.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

from coordinator.issuer import sign_milestone
from energy.transfer import TransferEeuro, transfer_operation
from tangle.address import address_of
from tangle.codec import encode
from tangle.genesis import (
    Allocation,
    Genesis,
    GenesisIdentity,
    Parameters,
    entry_points,
    network_id,
)
from tangle.hashing import digest
from tangle.keys import KEY_SIZE, SigningKey
from tangle.node import NodeCore
from tangle.transaction import (
    VERSION,
    IssuerWitness,
    SignedTransaction,
    Transaction,
    TransactionId,
    preimage,
)
from tangle.work import find_nonce, required_bits

ISSUERS: Final = 400
"""Members who issue in turn: 10,000 pending transactions are far within everybody's quota."""

WORK_PER_BYTE: Final = 1
"""Trials for each byte: checking costs the same whatever was asked for, making does not."""

START_MS: Final = 1_700_000_000_000
_HELD_UEUR: Final = 10**12
WIDTH: Final = 256
"""Tips: who issues does not see what is still on its way; at 25,000 transactions a second and 10 ms
of delay there are as many."""

_COORDINATOR: Final = SigningKey((1).to_bytes(KEY_SIZE, "big"))


def load_genesis(issuers: int = ISSUERS) -> Genesis:
    """Return the genesis of a registered network in which so many members may issue."""
    keys = [_issuer_key(number).public for number in range(issuers)]
    holders = sorted(address_of(key) for key in keys)
    return Genesis(
        "bench",
        START_MS,
        START_MS,
        Parameters(work_per_byte=WORK_PER_BYTE),
        (_COORDINATOR.public,),
        1,
        tuple(GenesisIdentity(key, "member") for key in sorted(keys)),
        tuple(Allocation(address, _HELD_UEUR) for address in holders),
    )


def _issuer_key(number: int) -> SigningKey:
    return SigningKey((1_000 + number).to_bytes(KEY_SIZE, "big"))


@dataclass(slots=True)
class LoadMaker:
    """Makes transfers upon the two oldest tips each, as long as there are enough of them."""

    genesis: Genesis
    rng: Random
    issuers: int = ISSUERS
    made: int = 0
    _tips: deque[TransactionId] = field(init=False)
    _other: TransactionId = field(init=False)
    _keys: list[SigningKey] = field(init=False)
    _network: bytes = field(init=False)

    def __post_init__(self) -> None:
        self._other, last = entry_points(self.genesis)
        self._tips = deque([last])
        self._keys = [_issuer_key(number) for number in range(self.issuers)]
        self._network = network_id(self.genesis)

    def transfers(self, count: int) -> Iterator[bytes]:
        """Yield the canonical bytes of so many signed and worked transfers, parents first."""
        for _ in range(count):
            if len(self._tips) < WIDTH:
                yield self._transfer(self._tips[0], self._other)
            else:
                yield self._transfer(self._tips.popleft(), self._tips.popleft())

    def to_close(self) -> int:
        """Return how many transfers `closing` takes once `transfers` made some hundreds."""
        return WIDTH - 1

    def closing(self) -> Iterator[bytes]:
        """Yield transfers that approve what is left of the tips, until there is a single one."""
        while len(self._tips) > 1:
            yield self._transfer(self._tips.popleft(), self._tips.popleft())

    def milestone(self, core: NodeCore) -> bytes:
        """Return the next milestone of `core`, over the single tip; what follows approves it."""
        (tip,) = self._tips
        drafted = core.draft_milestone((core.confirmed_id, tip), core.confirmed_at_ms + 1)
        issued = sign_milestone(drafted, (_COORDINATOR,))
        self._other = issued.tx_id
        return issued.data

    def _transfer(self, first: TransactionId, second: TransactionId) -> bytes:
        who, sequence = self.made % self.issuers, self.made // self.issuers
        self.made += 1
        key = self._keys[who]
        payee = self._keys[(who + self.rng.randrange(1, self.issuers)) % self.issuers]
        fields = Transaction(
            VERSION,
            self._network,
            (min(first, second), max(first, second)),
            key.public,
            sequence,
            START_MS,
            transfer_operation(TransferEeuro(address_of(payee.public), 1 + self.made % 1_000)),
        )
        signed = preimage(fields)
        tx_id = TransactionId(digest(signed))
        nonce = find_nonce(tx_id, required_bits(len(encode(fields)), WORK_PER_BYTE))
        self._tips.append(tx_id)
        return encode(SignedTransaction(fields, IssuerWitness(key.sign(signed), nonce)))
