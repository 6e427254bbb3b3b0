"""What a member asks of the home node of its meter: it alone may see or erase what was measured.

Signed by the owner's key or the meter's. A request names a milestone, so that one that somebody
overheard is of no use some minutes later.
"""

from typing import Final, Literal

import msgspec

from tangle.address import Address, AddressField, address_of
from tangle.codec import Decoder, encode
from tangle.errors import InvalidRequestError
from tangle.hashing import domain
from tangle.keys import KeyField, PublicKey, SignatureField, SigningKey, is_signed
from tangle.transaction import NETWORK_SIZE, Counter

MAX_REQUEST_SIZE: Final = 512
"""Bytes: its fields come to fewer than 200."""

MAX_REQUEST_AGE: Final = 300
"""Milestones between the one that is named and the node's last: ten minutes at 2 s."""

_DOMAIN: Final = domain("reading-request")


class ReadingRequest(msgspec.Struct, frozen=True, array_like=True):
    """What is wanted of the readings of one meter."""

    network: bytes
    meter: AddressField
    action: Literal["prove", "erase"]
    at_ms: Counter
    """Ledger time. To prove: a moment of the interval. To erase: all that ended by then."""

    milestone_index: Counter
    """One that the asker knows of, as new as possible."""


class SignedRequest(msgspec.Struct, frozen=True, array_like=True):
    """A request and who asks."""

    request: ReadingRequest
    key: KeyField
    signature: SignatureField


_decoder: Final = Decoder(SignedRequest, "reading request", MAX_REQUEST_SIZE)


def sign_request(request: ReadingRequest, key: SigningKey) -> bytes:
    """Return the canonical bytes of a request under the signature of who asks."""
    signature = key.sign(_DOMAIN + encode(request))
    return encode(SignedRequest(request, key.public, signature))


def decode_request(data: bytes) -> SignedRequest:
    """Parse canonical bytes. Raises `MalformedBytesError`; checks no other rule."""
    return _decoder.decode(data)


def verify_request(
    signed: SignedRequest, network: bytes, confirmed_index: int, allowed: frozenset[Address]
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
            f"key {asker[:8].hex()}… is neither the meter's nor its owner's: nobody else may ask"
        )
    if not is_signed(asker, _DOMAIN + encode(request), signed.signature):
        raise InvalidRequestError(f"the request is not signed by key {asker[:8].hex()}…")


def verify_moment(named: tuple[bytes, int], network: bytes, confirmed_index: int) -> None:
    """Check that a request is for this network and of now.

    Args:
        named: Network and milestone that the request names.
        network: First 8 bytes of the genesis hash.
        confirmed_index: The last milestone here.

    Raises:
        InvalidRequestError: It is not.
    """
    assert len(network) == NETWORK_SIZE, f"network id of {len(network)} bytes"
    if named[0] != network:
        raise InvalidRequestError(
            f"the request is for network {named[0].hex()}, not {network.hex()}"
        )
    if abs(confirmed_index - named[1]) > MAX_REQUEST_AGE:
        raise InvalidRequestError(
            f"the request names milestone {named[1]}: the last one here is"
            f" {confirmed_index}, and at most {MAX_REQUEST_AGE} may lie between"
        )
