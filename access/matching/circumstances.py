"""Check j: where and at which time of day something is asked."""

from access.identity.idot import signing_key
from access.matching.case import Case
from access.tokens.delegation import is_covered
from access.tokens.evidence import MAX_PRESENCE_AGE_MS, SignedPresence, presence_message
from access.tokens.zones import MINUTE_MS, minute_of_day
from tangle.accounts import network_hash
from tangle.keys import is_signed


def is_present(case: Case) -> bool:
    """Return whether a station that counts says that the subject is there, now, in this session."""
    context, shown = case.dact.context, case.ask.evidence.presence
    if context.place.kind == "any":
        return True
    if shown is None:
        return False
    said = shown.presence
    is_here = said.station in context.place.ids
    is_session = context.session in (None, said.session)
    is_recent = 0 <= case.to_ms - said.at_ms <= MAX_PRESENCE_AGE_MS
    is_own = said.subject == case.dact.subject
    return is_here and is_session and is_recent and is_own and _is_stations(case, shown)


def _is_stations(case: Case, shown: SignedPresence) -> bool:
    said = shown.presence
    key = signing_key(case.at.rows, said.station)
    is_here = said.genesis_hash == network_hash(case.at.rows)
    return key is not None and is_here and is_signed(key, presence_message(said), shown.signature)


def is_timely(case: Case) -> bool:
    """Return whether every minute that it can be lies in a window, on clocks on the wall."""
    context = case.dact.context
    if not context.daily:
        return True
    first, last = case.from_ms // MINUTE_MS, case.to_ms // MINUTE_MS
    return all(
        is_covered(minute_of_day(minute * MINUTE_MS, context.zone), context.daily)
        for minute in range(first, last + 1)
    )
