"""What clients post: one transaction or many, as bytes or JSON, made into canonical bytes."""

import re
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

import msgspec

from api.hexadecimal import from_hex, shown
from tangle.codec import Decoder, encode
from tangle.contracts import Rules
from tangle.errors import InvalidError, InvalidRequestError, MissingWorkError
from tangle.hashing import HASH_SIZE
from tangle.keys import KEY_SIZE, SIGNATURE_SIZE, PublicKey, verify
from tangle.transaction import (
    MAX_CALL_SIZE,
    MAX_DATA_SIZE,
    NETWORK_SIZE,
    NONCE_SIZE,
    Counter,
    Data,
    IssuerWitness,
    Label,
    Operation,
    Payload,
    ReadingBatch,
    SignedTransaction,
    Transaction,
    TransactionId,
    decode_fields,
    preimage,
    transaction_id,
)
from tangle.verification import Verified, verify_fields

MAX_BODY_SIZE: Final = 4 * 2**20
"""Bytes of one request: a batch of 512 usual transactions takes a tenth of it."""

MAX_BATCH: Final = 512
"""Transactions in one request, so that no client keeps the journal to itself."""

_NO_NONCE: Final = bytes(NONCE_SIZE)
_FormT = TypeVar("_FormT")


@dataclass(frozen=True, slots=True)
class Complete:
    """Bytes to submit as they are. Whether they are a transaction is for the node to judge."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Unworked:
    """A signed transaction for which the node is asked to do the work."""

    transaction: Transaction
    signature: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item of a batch that is of no stated form; the others are not its hostages."""

    error: InvalidError


Item = Complete | Unworked | Unreadable


class DataForm(
    msgspec.Struct, frozen=True, tag_field="type", tag="data", forbid_unknown_fields=True
):
    """A `Data` payload in JSON."""

    label: Label
    data: str
    """Hex."""


class ReadingsForm(
    msgspec.Struct, frozen=True, tag_field="type", tag="readings", forbid_unknown_fields=True
):
    """A `ReadingBatch` payload in JSON."""

    meter: str
    """Hex of the address."""

    first_sequence: Counter
    last_sequence: Counter
    root: str
    """Hex."""


class OperationForm(
    msgspec.Struct, frozen=True, tag_field="type", tag="operation", forbid_unknown_fields=True
):
    """An `Operation` payload in JSON."""

    contract: Label
    call: str
    """Hex of the canonical bytes of the call."""


class FieldsForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The signed fields of a transaction in JSON; bytes are hex."""

    version: Annotated[int, msgspec.Meta(ge=0, le=255)]
    network: str
    parents: list[str]
    issuer: str
    sequence: Counter
    issued_at_ms: Counter
    payload: DataForm | ReadingsForm | OperationForm


class ItemForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One transaction in JSON: either `bytes`, or `fields` and `signature`."""

    bytes: str | None = None
    """Hex of the canonical bytes, witness included."""

    fields: FieldsForm | None = None
    signature: str | None = None
    nonce: str | None = None
    """Left out where the node is to do the work."""


class BatchForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON body of a submission."""

    transactions: list[msgspec.Raw]
    work: bool = False
    """Whether the node is to do the work for what has no nonce."""


_bodies: Final = msgspec.json.Decoder(BatchForm)
_items: Final = msgspec.json.Decoder(ItemForm)
_batches: Final = Decoder(list[bytes], "batch", MAX_BODY_SIZE)
_REFUSALS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_PLACE: Final = re.compile(r" - at `\$([^`]*)`\Z")
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]")


def parse_batch(body: bytes) -> tuple[Item, ...]:
    """Return the items of a canonical MessagePack array of byte strings.

    Raises:
        MalformedBytesError: Not such an array.
        InvalidRequestError: Empty, or more than `MAX_BATCH`.
    """
    batch = _batches.decode(body)
    _require_count(len(batch))
    return tuple(Complete(data) for data in batch)


def parse_json(body: bytes) -> tuple[Item, ...]:
    """Return the items of a JSON body; an item of the wrong form is `Unreadable`.

    Raises:
        InvalidRequestError: Not JSON, not a `BatchForm`, empty, or more than `MAX_BATCH`.
    """
    form = _parsed(_bodies, body, "body")
    _require_count(len(form.transactions))
    return tuple(
        _item(bytes(raw), at, does_work=form.work) for at, raw in enumerate(form.transactions)
    )


def verify_unworked(item: Unworked, rules: Rules) -> None:
    """Check all but the work, so that nobody makes this node work for nothing.

    Raises:
        InvalidTransactionError: The rules forbid it whatever its nonce.
    """
    transaction, signed = item.transaction, preimage(item.transaction)
    witness = IssuerWitness(item.signature, _NO_NONCE)
    size_bytes = len(encode(transaction))
    tx_id = transaction_id(transaction)
    verify_fields(Verified(tx_id, b"", transaction, witness, size_bytes), rules)
    verify(transaction.issuer, signed, item.signature)


def completed(item: Unworked, nonce: bytes) -> bytes:
    """Return the canonical bytes of `item` with its work."""
    return encode(SignedTransaction(item.transaction, IssuerWitness(item.signature, nonce)))


def _require_count(count: int) -> None:
    if not 1 <= count <= MAX_BATCH:
        raise InvalidRequestError(f"{count} transactions in one request: from 1 to {MAX_BATCH}")


def _item(raw: bytes, at: int, *, does_work: bool) -> Item:
    what = f"transactions[{at}]"
    try:
        return _complete_or_not(_parsed(_items, raw, what), what, does_work=does_work)
    except InvalidError as error:
        return Unreadable(error)


def _complete_or_not(form: ItemForm, what: str, *, does_work: bool) -> Complete | Unworked:
    if form.bytes is not None:
        if (form.fields, form.signature, form.nonce) != (None, None, None):
            raise InvalidRequestError(f"{what}: has bytes, so it must have nothing else")
        return Complete(from_hex(form.bytes, f"{what}.bytes"))
    if form.fields is None or form.signature is None:
        raise InvalidRequestError(f"{what}: must have either bytes, or fields and signature")
    transaction = _transaction(form.fields, f"{what}.fields")
    signature = from_hex(form.signature, f"{what}.signature", size=SIGNATURE_SIZE)
    item = Unworked(transaction, signature)
    if form.nonce is not None:
        return Complete(completed(item, from_hex(form.nonce, f"{what}.nonce", size=NONCE_SIZE)))
    if not does_work:
        raise MissingWorkError(f"{what}: has no nonce, and work is false")
    return item


def _transaction(form: FieldsForm, what: str) -> Transaction:
    transaction = Transaction(
        form.version,
        from_hex(form.network, f"{what}.network", size=NETWORK_SIZE),
        tuple(
            TransactionId(from_hex(parent, f"{what}.parents[{at}]", size=HASH_SIZE))
            for at, parent in enumerate(form.parents)
        ),
        PublicKey(from_hex(form.issuer, f"{what}.issuer", size=KEY_SIZE)),
        form.sequence,
        form.issued_at_ms,
        _payload(form.payload, f"{what}.payload"),
    )
    # The bytes are what is hashed and signed: what they cannot carry is refused here.
    return decode_fields(encode(transaction))


def _payload(form: DataForm | ReadingsForm | OperationForm, what: str) -> Payload:
    match form:
        case DataForm():
            data = from_hex(form.data, f"{what}.data", at_most=MAX_DATA_SIZE)
            return Data(form.label, data)
        case ReadingsForm():
            meter = from_hex(form.meter, f"{what}.meter", size=HASH_SIZE)
            root = from_hex(form.root, f"{what}.root", size=HASH_SIZE)
            return ReadingBatch(meter, form.first_sequence, form.last_sequence, root)
        case OperationForm():
            call = from_hex(form.call, f"{what}.call", at_most=MAX_CALL_SIZE)
            return Operation(form.contract, call)


def _parsed(decoder: msgspec.json.Decoder[_FormT], body: bytes, what: str) -> _FormT:
    try:
        return decoder.decode(body)
    except _REFUSALS as error:
        raise InvalidRequestError(f"{what}: {_explained(str(error), body)}") from error


def _explained(message: str, body: bytes) -> str:
    """Return a message of the decoder with the value it is about, if it names a place."""
    place = _PLACE.search(message)
    if place is None:
        return message
    try:
        value = msgspec.json.decode(body)
    except _REFUSALS:  # behind the place it is not even JSON: the first fault is enough
        return message
    for name, index in _STEP.findall(place[1]):
        value = value[name] if name else value[int(index)]
    return f"{place[1].lstrip('.')} {shown(value)}: {message[: place.start()]}"
