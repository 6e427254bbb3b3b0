"""What is asked of a home node about a stretch of time: readings, reports, or what was settled.

Signed like a request for one reading, and as short-lived. A node answers in pages: the next one
is asked for from where the last one ended.
"""

from typing import Annotated, Final, Literal

import msgspec

from devices.reading_request import MAX_REQUEST_SIZE, verify_moment
from tangle.address import Address, AddressField, address_of
from tangle.codec import Decoder, encode
from tangle.errors import InvalidRequestError
from tangle.hashing import domain
from tangle.keys import KeyField, PublicKey, SignatureField, SigningKey, is_signed
from tangle.transaction import NETWORK_SIZE, Counter

Subject = Literal["readings", "reports", "settled"]
"""`readings`: of a meter. `reports`: that the ledger applied about a member. `settled`: what
settlement made of a member's days."""

NetworkField = Annotated[bytes, msgspec.Meta(min_length=NETWORK_SIZE, max_length=NETWORK_SIZE)]

_DOMAIN: Final = domain("span-request")


class SpanRequest(msgspec.Struct, frozen=True, array_like=True):
    """What is wanted, of whom, and of when."""

    network: NetworkField
    subject: Subject
    whose: AddressField
    """A meter's for `readings`; else a member's."""

    from_ms: Counter
    to_ms: Counter
    """Ledger time: after the first moment and up to the second."""

    milestone_index: Counter
    """One that the asker knows of, as new as possible."""


class SignedSpan(msgspec.Struct, frozen=True, array_like=True):
    """A request and who asks."""

    request: SpanRequest
    key: KeyField
    signature: SignatureField


_decoder: Final = Decoder(SignedSpan, "span request", MAX_REQUEST_SIZE)


def sign_span(request: SpanRequest, key: SigningKey) -> bytes:
    """Return the canonical bytes of a request under the signature of who asks."""
    signature = key.sign(_DOMAIN + encode(request))
    return encode(SignedSpan(request, key.public, signature))


def decode_span(data: bytes) -> SignedSpan:
    """Parse canonical bytes.

    Raises:
        MalformedBytesError: They are not those of a request.
        InvalidRequestError: It asks for a stretch of time that ends before it begins.
    """
    signed = _decoder.decode(data)
    request = signed.request
    if request.to_ms <= request.from_ms:
        raise InvalidRequestError(
            f"the request is for {request.from_ms} to {request.to_ms} ms, which is no time"
        )
    return signed


def verify_span(
    signed: SignedSpan, network: bytes, confirmed_index: int, allowed: frozenset[Address]
) -> None:
    """Check that a request is genuine, of now, and by one who may ask.

    Args:
        signed: What came.
        network: First 8 bytes of the genesis hash.
        confirmed_index: The last milestone here.
        allowed: Who may ask.

    Raises:
        InvalidRequestError: It is not.
    """
    request = signed.request
    verify_moment((request.network, request.milestone_index), network, confirmed_index)
    asker = PublicKey(signed.key)
    if address_of(asker) not in allowed:
        raise InvalidRequestError(
            f"key {asker[:8].hex()}… may not ask for {request.subject} of"
            f" {request.whose[:8].hex()}…: only whose they are, and issuers that the node names"
        )
    if not is_signed(asker, _DOMAIN + encode(request), signed.signature):
        raise InvalidRequestError(f"the request is not signed by key {asker[:8].hex()}…")
