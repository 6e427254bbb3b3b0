"""The limit for over-consumption: it rises at once, and falls after late reports."""

import msgspec

from energy.powerchain.records import Connection


def fallen(connection: Connection, timestamp_ms: int) -> Connection:
    """Return what a member signed as it holds at that ledger time."""
    if connection.falls_at_ms is None or timestamp_ms < connection.falls_at_ms:
        return connection
    limit_uent = min(connection.limit_uent, connection.falls_to_uent)
    return msgspec.structs.replace(
        connection, limit_uent=limit_uent, falls_to_uent=0, falls_at_ms=None
    )


def signed_anew(old: Connection, new: Connection, falls_at_ms: int) -> Connection:
    """Return what holds once a member signed anew.

    Args:
        old: As it holds now.
        new: As if it were the first for that unit.
        falls_at_ms: From when a lower limit holds.
    """
    if new.limit_uent >= old.limit_uent:
        return msgspec.structs.replace(new, since_ms=old.since_ms)
    return Connection(new.edge, old.limit_uent, new.limit_uent, falls_at_ms, old.since_ms)
