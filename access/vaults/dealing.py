"""Dealing shares, checking one, and proving that one was wrong."""

from dataclasses import dataclass
from typing import Final

import msgspec
from typing_extensions import override

from access.threshold import feldman
from access.threshold.feldman import Polynomial
from access.threshold.scalars import ScalarField
from access.vaults.vault import Index, Sharing
from tangle.codec import Decoder, encode
from tangle.errors import InvalidError
from tangle.hashing import domain
from tangle.keys import PublicKey, SignatureField, SigningKey, is_signed
from tangle.transaction import Counter, HashField

MAX_DELIVERY_SIZE: Final = 512
_SHARE: Final = domain("access.share")


class ShareStatement(msgspec.Struct, frozen=True, array_like=True):
    """What a dealer signs of each share: who sees it can prove what was dealt."""

    vault: HashField
    number: Counter
    """Of the sharing."""

    index: Index
    share: ScalarField

    @override
    def __repr__(self) -> str:
        return f"ShareStatement(vault={self.vault.hex()}, number={self.number}, index={self.index})"


class ShareDelivery(msgspec.Struct, frozen=True, array_like=True):
    """What goes to one node, sealed to its key."""

    statement: ShareStatement
    signature: SignatureField
    """The dealer's."""


@dataclass(frozen=True, slots=True)
class HeldShare:
    """A node's secret of one sharing. Erased when the next one is in force."""

    index: int
    number: int
    share: bytes

    @override
    def __repr__(self) -> str:
        return f"HeldShare(index={self.index}, number={self.number})"


_deliveries: Final = Decoder(ShareDelivery, "share delivery", MAX_DELIVERY_SIZE)


def share_message(statement: ShareStatement) -> bytes:
    """Return the bytes that a dealer signs."""
    return _SHARE + encode(statement)


def deliveries(
    polynomial: Polynomial, vault: bytes, number: int, nodes: int, dealer: SigningKey
) -> tuple[ShareDelivery, ...]:
    """Return a delivery for each node, to be sealed to its key and sent.

    Raises:
        InvalidError: A share is zero: deal another polynomial.
    """
    made = []
    for index in range(1, nodes + 1):
        statement = ShareStatement(vault, number, index, feldman.deal(polynomial, index))
        made.append(ShareDelivery(statement, dealer.sign(share_message(statement))))
    return tuple(made)


def decode_delivery(data: bytes) -> ShareDelivery:
    """Parse canonical bytes. Raises `MalformedBytesError`; checks nothing yet."""
    return _deliveries.decode(data)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a node knows from the ledger of the share it is to get."""

    vault: bytes
    sharing: Sharing
    index: int
    dealer: PublicKey
    """The owner's signing key."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Consistent: keep it durably, then acknowledge."""

    held: HeldShare


@dataclass(frozen=True, slots=True)
class Complaint:
    """Signed by the dealer, and not what it committed to: anybody can check it."""

    delivery: ShareDelivery


def receive_share(delivery: ShareDelivery, expected: Expected) -> Accepted | Complaint:
    """Check a share against the commitments on the ledger.

    Raises:
        InvalidError: It is not the dealer's, or of another vault, sharing or node: nothing that
            could be proven to others.
    """
    statement = delivery.statement
    named = (statement.vault, statement.number, statement.index)
    wanted = (expected.vault, expected.sharing.number, expected.index)
    if named != wanted:
        raise InvalidError(
            f"share {statement.index} of sharing {statement.number}: "
            f"expected is share {expected.index} of sharing {expected.sharing.number}"
        )
    if not is_signed(expected.dealer, share_message(statement), delivery.signature):
        raise InvalidError(f"share {statement.index}: the dealer has not signed it")
    if feldman.is_consistent(expected.sharing.commitments, statement.index, statement.share):
        return Accepted(HeldShare(statement.index, statement.number, statement.share))
    return Complaint(delivery)


def is_justified(delivery: ShareDelivery, expected: Expected) -> bool:
    """Return whether a complaint proves that the dealer dealt a wrong share."""
    try:
        return isinstance(receive_share(delivery, expected), Complaint)
    except InvalidError:
        return False
