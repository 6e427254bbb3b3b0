"""What can become of a transaction: its state, and why an operation was refused."""

from enum import StrEnum

import msgspec


class State(StrEnum):
    """Where a transaction stands on one node (PROTOCOL §7)."""

    UNKNOWN = "unknown"
    WAITING = "waiting"
    TIP = "tip"
    PENDING = "pending"
    APPLIED = "applied"
    """Referenced, and its operation counted: the only state a payee may trust."""

    NO_VALUE = "no-value"
    IGNORED = "ignored"
    EXPIRED = "expired"


class Reason(StrEnum):
    """Why an operation was ignored. A closed list; a value, never an exception."""

    SEQUENCE_USED = "SEQUENCE_USED"
    SEQUENCE_AHEAD = "SEQUENCE_AHEAD"
    ISSUER_UNKNOWN = "ISSUER_UNKNOWN"
    NOT_ALLOWED = "NOT_ALLOWED"
    INSUFFICIENT_ENT = "INSUFFICIENT_ENT"
    INSUFFICIENT_EEURO = "INSUFFICIENT_EEURO"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    TOO_SMALL = "TOO_SMALL"
    SELF = "SELF"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    NOT_YOURS = "NOT_YOURS"
    EXPIRED = "EXPIRED"
    READING_USED = "READING_USED"
    DEVICE_KNOWN = "DEVICE_KNOWN"
    BAD_PROOF = "BAD_PROOF"
    TOO_MANY_VOTES = "TOO_MANY_VOTES"
    UNKNOWN_MEMBER = "UNKNOWN_MEMBER"
    NOT_A_UNIT = "NOT_A_UNIT"
    SESSION_EXISTS = "SESSION_EXISTS"
    NO_SESSION = "NO_SESSION"
    INSUFFICIENT_ENERGY = "INSUFFICIENT_ENERGY"
    UNIT_FULL = "UNIT_FULL"
    UNIT_EMPTY = "UNIT_EMPTY"
    """No refusal: a remark on an applied report of more than the unit held."""

    DUPLICATE_REPORT = "DUPLICATE_REPORT"
    LAST_VOTER = "LAST_VOTER"
    NO_SUCH_ACT = "NO_SUCH_ACT"
    SUPPLY_CAP = "SUPPLY_CAP"
    CAPACITY = "CAPACITY"
    ON_SALE = "ON_SALE"
    NOT_ON_SALE = "NOT_ON_SALE"
    PRICE_MOVED = "PRICE_MOVED"
    NOT_CONFIRMED = "NOT_CONFIRMED"
    BILL_NUMBER = "BILL_NUMBER"
    UNKNOWN_BILL = "UNKNOWN_BILL"
    NO_SUCH_OBJECT = "NO_SUCH_OBJECT"
    EXISTS = "EXISTS"
    REVOKED = "REVOKED"
    NOT_ACTIVE = "NOT_ACTIVE"
    WRONG_VAULT = "WRONG_VAULT"
    BELOW_THRESHOLD = "BELOW_THRESHOLD"
    DUPLICATE_VOTE = "DUPLICATE_VOTE"
    SUSPENDED = "SUSPENDED"


class Event(msgspec.Struct, frozen=True, gc=False):
    """What a contract reports of an applied operation, for people and streams."""

    name: str
    """`contract.what`, e.g. `transfer.moved`."""

    fields: tuple[tuple[str, str | int | bytes], ...]
    """Names with their unit, and values. Bytes are addresses: their text form is for people, and
    costs more than the operation."""


class Applied(msgspec.Struct, frozen=True, gc=False):
    """Referenced, and it changed the ledger."""

    events: tuple[Event, ...] = ()


class NoValue(msgspec.Struct, frozen=True, gc=False):
    """Referenced; it carries only data."""


class Ignored(msgspec.Struct, frozen=True, gc=False):
    """Referenced; a rule refused it, and nothing but its sequence number changed."""

    reason: Reason


Outcome = Applied | NoValue | Ignored


def state_of(outcome: Outcome) -> State:
    """Return the state a transaction is in after this outcome."""
    match outcome:
        case Applied():
            return State.APPLIED
        case NoValue():
            return State.NO_VALUE
        case Ignored():
            return State.IGNORED
