"""Taking a new device over: what its label shows, and what it countersigns.

The label (a QR code) holds the device's address and a one-time secret. Who scanned it is in front
of the device, and only with that secret does the device sign a binding. The secret never goes to
the ledger; the device forgets it with its first binding, and later ones need the owner before.
"""

from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

from typing_extensions import override

from access.identity.life_cycle import Bind, BindStatement, bind_message
from tangle.address import Address, decode_address, encode_address
from tangle.errors import InvalidError
from tangle.keys import SigningKey

SECRET_SIZE: Final = 16
_SCHEME: Final = "twclaim"


@dataclass(frozen=True, slots=True)
class ClaimLabel:
    """What a device's label says."""

    device: Address
    secret: bytes

    @override
    def __repr__(self) -> str:
        return f"ClaimLabel(device={encode_address(self.device)})"


def label_text(label: ClaimLabel) -> str:
    """Return the text of the QR code."""
    return f"{_SCHEME}:{encode_address(label.device)}:{label.secret.hex()}"


def parse_label(text: str) -> ClaimLabel:
    """Return what a scanned label says.

    Raises:
        InvalidError: Not the text of a label. The message never repeats the secret.
    """
    scheme, _, rest = text.strip().partition(":")
    device, _, secret = rest.partition(":")
    if scheme != _SCHEME:
        raise InvalidError(f"claim label: it starts with {scheme[:16]!r}, not {_SCHEME!r}")
    try:
        raw = bytes.fromhex(secret)
    except ValueError:
        raise InvalidError("claim label: its secret is not hexadecimal") from None
    if len(raw) != SECRET_SIZE:
        raise InvalidError(f"claim label: a secret of {len(raw)} bytes, not {SECRET_SIZE}")
    return ClaimLabel(decode_address(device), raw)


def countersign(
    statement: BindStatement,
    device: Address,
    offered: bytes,
    expected: bytes | None,
    key: SigningKey,
) -> bytes:
    """Return the device's signature over its binding.

    Args:
        statement: Device, owner and number of the binding.
        device: The address this device is registered under.
        offered: The secret that came with it; empty once it was used.
        expected: The secret of the label; `None` once the device is bound: from then on the
            ledger asks for the owner before, and the device signs what its owner brings.
        key: The device's signing key.

    Raises:
        InvalidError: It names another device; the secret is wrong; or it is the first binding
            by number and the secret was used already.
    """
    if statement.device != device:
        raise InvalidError("binding: it names another device")
    if expected is None and statement.number == 1:
        raise InvalidError("binding: the one-time secret was used already")
    if expected is not None and not compare_digest(offered, expected):
        raise InvalidError("binding: the one-time secret is wrong")
    return key.sign(bind_message(statement))


def bind_call(
    statement: BindStatement,
    owner: SigningKey,
    device_proof: bytes,
    previous: SigningKey | None = None,
) -> Bind:
    """Return the call that binds, with the signatures of the owners added."""
    message = bind_message(statement)
    previous_proof = None if previous is None else previous.sign(message)
    return Bind(
        statement.device,
        statement.owner,
        statement.number,
        owner.sign(message),
        device_proof,
        previous_proof,
    )
