"""What a requester sends to one certification node (M3), and what comes back (M4)."""

from typing import Annotated, Final

import msgspec

from access.identity.idot import KemKeyField
from access.requests.receipt import SignedReceipt
from access.requests.records import MAX_CHUNKS, NonceField
from access.threshold.tdh2 import PartialField
from access.tokens.dact import MAX_DEPTH, ShownGrant
from access.tokens.evidence import Evidence
from tangle.address import AddressField
from tangle.codec import Decoder, encode
from tangle.hashing import domain
from tangle.keys import SignatureField
from tangle.transaction import Counter, HashField

MAX_ASK_SIZE: Final = 16_384
MAX_ANSWER_SIZE: Final = 32_768
_ASK: Final = domain("access.ask")


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """All that a node needs beside its ledger; names the node, so that no other can use it."""

    genesis_hash: HashField
    node: AddressField
    request: HashField
    """Id of the request on the ledger."""

    kem_key: KemKeyField
    """The request's, repeated under this signature."""

    grants: Annotated[tuple[ShownGrant, ...], msgspec.Meta(min_length=1, max_length=MAX_DEPTH + 1)]
    """The subject's first, then what it comes from, the owner's last."""

    evidence: Evidence
    evidence_salt: NonceField


class SignedAsk(msgspec.Struct, frozen=True, array_like=True):
    """What is sent, sealed to the node's key."""

    ask: Ask
    signature: SignatureField
    """Of the subject's signing key."""


class NumberedPartial(msgspec.Struct, frozen=True, array_like=True):
    """What a node gives for one chunk; a leaf under the root in its receipt."""

    chunk: Counter
    partial: PartialField


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What comes back, sealed to the request's key."""

    receipt: SignedReceipt
    partials: Annotated[tuple[NumberedPartial, ...], msgspec.Meta(max_length=MAX_CHUNKS)]


_asks: Final = Decoder(SignedAsk, "ask", MAX_ASK_SIZE)
_answers: Final = Decoder(Answer, "answer", MAX_ANSWER_SIZE)


def ask_message(ask: Ask) -> bytes:
    """Return the bytes that a subject signs."""
    return _ASK + encode(ask)


def read_ask(data: bytes) -> SignedAsk:
    """Return what bytes say, however they spell it: the matcher asks for the one spelling.

    Raises:
        MalformedBytesError: Too long, or not an ask at all.
    """
    return _asks.read(data[: MAX_ASK_SIZE + 1])


def decode_answer(data: bytes) -> Answer:
    """Parse canonical bytes. Raises `MalformedBytesError`; checks nothing yet."""
    return _answers.decode(data)
