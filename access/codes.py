"""Every answer of the access protocol beside the ledger's own reasons: one closed list."""

from enum import StrEnum


class Code(StrEnum):
    """What a certification node, a service node or a requester's check comes to."""

    ALLOW = "ALLOW"
    DENY_PARSE = "DENY_PARSE"
    DENY_UNCONFIRMED = "DENY_UNCONFIRMED"
    DENY_STALE = "DENY_STALE"
    DENY_CLOCK = "DENY_CLOCK"
    DENY_NOT_REGISTERED = "DENY_NOT_REGISTERED"
    DENY_MISMATCH = "DENY_MISMATCH"
    DENY_OWNER = "DENY_OWNER"
    DENY_SIG = "DENY_SIG"
    DENY_DELEGATION = "DENY_DELEGATION"
    DENY_REVOKED = "DENY_REVOKED"
    DENY_NOT_YET = "DENY_NOT_YET"
    DENY_EXPIRED = "DENY_EXPIRED"
    DENY_IDENTITY = "DENY_IDENTITY"
    DENY_SUBJECT = "DENY_SUBJECT"
    DENY_REPLAY = "DENY_REPLAY"
    DENY_SCOPE = "DENY_SCOPE"
    DENY_CONTEXT = "DENY_CONTEXT"
    DENY_QUOTA = "DENY_QUOTA"
    DENY_THRESHOLD = "DENY_THRESHOLD"
    DENY_CAPSULE = "DENY_CAPSULE"
    DENY_INACTIVE = "DENY_INACTIVE"
    """Service node: the ledger has no activation of that request."""

    DENY_ADDRESSES = "DENY_ADDRESSES"
    """Service node: too few distinct addresses, or one that is not of that chunk."""

    BAD_PARTIAL = "BAD_PARTIAL"
    DUPLICATE_INDEX = "DUPLICATE_INDEX"
    BELOW_THRESHOLD = "BELOW_THRESHOLD"
    WRONG_KEY = "WRONG_KEY"
    """The key that the partials open is not the one that the chunk commits to."""

    DAMAGED = "DAMAGED"
    """What the service node sent is not what the device sealed."""

    UNAVAILABLE = "UNAVAILABLE"
    """Too few nodes answered."""
