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
from tangle.verification import Verified, parse
from tangle.work import find_nonce, required_bits

ISSUERS: Final = 400
"""Members who issue in turn: 10,000 pending transactions are far within everybody's quota."""

WORK_PER_BYTE: Final = 1
"""Trials for each byte: checking costs the same whatever was asked for, making does not."""

START_MS: Final = 1_700_000_000_000
_HELD_UEUR: Final = 10**12
_WIDTH: Final = 16
"""The second parent is one of so many before the first one."""

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
    """Makes transfers that approve each other: the last one made approves all before it."""

    genesis: Genesis
    rng: Random
    issuers: int = ISSUERS
    made: int = 0
    _recent: deque[TransactionId] = field(init=False)
    _keys: list[SigningKey] = field(init=False)
    _network: bytes = field(init=False)

    def __post_init__(self) -> None:
        self._recent = deque(entry_points(self.genesis), maxlen=_WIDTH)
        self._keys = [_issuer_key(number) for number in range(self.issuers)]
        self._network = network_id(self.genesis)

    def transfers(self, count: int) -> Iterator[bytes]:
        """Yield the canonical bytes of so many signed and worked transfers, parents first."""
        for _ in range(count):
            yield self._transfer()

    def milestone(self, core: NodeCore) -> bytes:
        """Return the next milestone of `core` over all that was made; parents follow it then."""
        over = (core.confirmed_id, self._recent[-1])
        issued = sign_milestone(
            core.draft_milestone(over, core.confirmed_at_ms + 1), (_COORDINATOR,)
        )
        self._recent.append(parse(issued.data).tx_id)
        return issued.data

    def _transfer(self) -> bytes:
        who, sequence = self.made % self.issuers, self.made // self.issuers
        self.made += 1
        key, payee = self._keys[who], self._keys[self.rng.randrange(self.issuers - 1) - who - 1]
        first = self._recent[-1]
        second = self._recent[self.rng.randrange(len(self._recent) - 1)]
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
        self._recent.append(tx_id)
        return encode(SignedTransaction(fields, IssuerWitness(key.sign(signed), nonce)))


def parsed(transactions: list[bytes]) -> list[Verified]:
    """Return transactions as values."""
    return [parse(data) for data in transactions]
