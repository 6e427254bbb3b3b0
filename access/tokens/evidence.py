"""What a requester shows of a request's circumstances, and what a station says of it."""

from typing import Final

import msgspec

from access.tokens.dact import Action, Purpose
from tangle.address import AddressField
from tangle.codec import encode
from tangle.hashing import digest, domain
from tangle.keys import SignatureField
from tangle.transaction import Counter, HashField

MAX_PRESENCE_AGE_MS: Final = 300_000
"""A presence statement that is older says nothing of where somebody is."""

_PRESENCE: Final = domain("access.presence")
_EVIDENCE: Final = domain("access.evidence")


class Presence(msgspec.Struct, frozen=True, array_like=True):
    """What a station signs: that somebody is there, in this session, at this moment."""

    genesis_hash: HashField
    station: AddressField
    subject: AddressField
    session: HashField
    at_ms: Counter
    """The station's clock."""


class SignedPresence(msgspec.Struct, frozen=True, array_like=True):
    """A presence statement under its station's signature."""

    presence: Presence
    signature: SignatureField


class Evidence(msgspec.Struct, frozen=True, array_like=True):
    """What the nodes see of a request, and the ledger has the hash of."""

    action: Action
    purpose: Purpose
    presence: SignedPresence | None


def presence_message(presence: Presence) -> bytes:
    """Return the bytes that a station signs."""
    return _PRESENCE + encode(presence)


def evidence_hash(evidence: Evidence, salt: bytes) -> bytes:
    """Return what a request says of its evidence on the ledger.

    Args:
        evidence: Of the request.
        salt: The request's own: there are few purposes, and a hash alone could be guessed.
    """
    return digest(_EVIDENCE + encode(evidence) + salt)
