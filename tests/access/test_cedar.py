"""The matcher and Cedar decide alike: a policy engine that others wrote, on the same grants.

A grant becomes a Cedar policy, and an ask becomes a request with a context of plain numbers that
this module works out by itself: times of day come from the system's zone tables, uses from a
tally of its own.
"""

import os
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import cedarpy
import pytest

from access.codes import Code
from access.tokens.dact import (
    AccessContext,
    Dact,
    Limits,
    Place,
    Resource,
    ShownGrant,
    Threshold,
    Window,
)
from access.tokens.evidence import Evidence, SignedPresence
from tangle.keys import SigningKey
from tests.access.world import (
    ANY_PLACE,
    COHORT,
    DAY_MS,
    HOUR_MS,
    NEIGHBOUR,
    NOW_MS,
    SKEW_MS,
    SLOT_MS,
    STATION,
    STRANGER,
    SUBJECT,
    N,
    World,
    address,
    new_world,
)

GRANTS: Final = 5_000 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 500
ASKS: Final = 20
"""Of each grant: with the usual number of grants 10,000 pairs in all."""

BATCHES: Final = 5
CITIES: Final = {
    "UTC": UTC,
    "WET": ZoneInfo("Europe/Lisbon"),
    "CET": ZoneInfo("Europe/Berlin"),
    "EET": ZoneInfo("Europe/Helsinki"),
}
PURPOSES: Final = ("audit", "balancing", "billing", "charging", "research")
ACTIONS: Final = ("delegate", "read", "settle", "verify")
SESSIONS: Final = (b"s" * 32, b"t" * 32)
FIRST_MS: Final = NOW_MS - DAY_MS
DENIALS: Final = {
    Code.DENY_SUBJECT,
    Code.DENY_SCOPE,
    Code.DENY_CONTEXT,
    Code.DENY_QUOTA,
    Code.DENY_NOT_YET,
    Code.DENY_EXPIRED,
    Code.DENY_THRESHOLD,
}


@dataclass
class Drawn:
    """Random grants and asks, mostly close to what is allowed."""

    world: World
    rng: random.Random
    codes: Counter[Code] = field(default_factory=Counter)

    def mostly(self, usual: Any, *others: Any) -> Any:  # noqa: ANN401 # any value of a field
        return usual if self.rng.random() < 0.9 else self.rng.choice(others)

    def dact(self) -> Dact:
        rng, world = self.rng, self.world
        start = rng.randrange(3)
        resource = Resource(
            world.vault,
            self.mostly(world.stream, bytes(32)),
            FIRST_MS + start * SLOT_MS + rng.choice([0, 0, 1]),
            FIRST_MS + rng.randint(7, 9) * SLOT_MS - rng.choice([0, 0, 1]),
        )
        actions = {"read", *rng.sample(ACTIONS, rng.randint(0, 2))}
        k = self.mostly(3, 4, 5)
        return world.dact(
            resource=resource,
            actions=tuple(sorted(actions)),
            context=self.context(),
            threshold=Threshold(
                self.mostly(COHORT, "other"), self.mostly(1, 2), k, self.mostly(N, 4)
            ),
            limits=Limits(rng.randint(4, 40), rng.randint(10, 80), rng.randint(6, 40)),
        )

    def context(self) -> AccessContext:
        rng = self.rng
        windows = tuple(
            Window(at, (at + rng.randint(200, 1_200)) % 1_440)
            for at in rng.sample(range(1_440), rng.choice([0, 0, 1, 2]))
        )
        place = ANY_PLACE
        if rng.random() < 0.4:
            ids = sorted({address(STATION), *rng.sample([address(STRANGER)], rng.randint(0, 1))})
            place = Place(rng.choice(["station", "region"]), tuple(ids))
        session = rng.choice([None, SESSIONS[0]]) if place.ids else None
        return AccessContext(
            NOW_MS - rng.randint(0, 2) * HOUR_MS,
            NOW_MS + rng.randint(3, 40) * HOUR_MS,
            rng.choice(list(CITIES)),
            windows,
            place,
            self.mostly("charging", *PURPOSES),
            session,
        )

    def presence(self, at_ms: int) -> SignedPresence | None:
        if self.rng.random() < 0.2:
            return None
        said_ms = at_ms + self.rng.choice([0, -1_000, -HOUR_MS, SKEW_MS, SKEW_MS + 1, -290_000])
        who = self.mostly(address(SUBJECT), address(STRANGER))
        made = self.world.presence(self.mostly(*SESSIONS), at_ms=said_ms, subject=who)
        return made if self.rng.random() < 0.9 else SignedPresence(made.presence, bytes(64))


def entity(kind: str, identifier: bytes | str) -> str:
    text = identifier if isinstance(identifier, str) else identifier.hex()
    return f'{kind}::"{text}"'


def policy(dact: Dact, registered_k: int, ledger_end_ms: int) -> str:
    """Return the grant as a Cedar policy."""
    context, limits, said = dact.context, dact.limits, dact.threshold
    actions = ", ".join(entity("Action", one) for one in dact.actions if one != "delegate")
    end_ms = min(context.not_after_ms, ledger_end_ms)
    conditions = [
        f"context.data_from >= {dact.resource.from_ms}",
        f"context.data_to <= {dact.resource.to_ms}",
        f"context.earliest >= {context.not_before_ms} && context.latest < {end_ms}",
        f'context.purpose == "{context.purpose}"',
        f"context.used < {limits.max_uses}",
        f"context.used_chunks + context.asked <= {limits.max_chunks}",
        f"context.in_hour < {limits.per_hour}",
        f'context.cohort == "{said.cohort}" && context.generation == {said.generation}',
        f"context.n == {said.n} && context.vault_k <= {said.k} && {registered_k} == {said.k}",
    ]
    edges = ("first_minute", "last_minute")
    conditions += [_daily(context.daily, f"context.{edge}") for edge in edges]
    if context.place.kind != "any":
        ids = ", ".join(f'"{one.hex()}"' for one in context.place.ids)
        conditions.append(f"context has station && [{ids}].contains(context.station)")
        conditions.append("context.is_signed && context.age >= 0 && context.age <= 300000")
        conditions.append(f'context.present == "{dact.subject.hex()}"')
    if context.session is not None:
        conditions.append(f'context has session && context.session == "{context.session.hex()}"')
    body = " && ".join(f"({one})" for one in conditions)
    return (
        f"permit(principal == {entity('Thing', dact.subject)}, action in [{actions}], "
        f"resource == {entity('Stream', dact.resource.stream)}) when {{ {body} }};"
    )


def _daily(windows: tuple[Window, ...], minute: str) -> str:
    if not windows:
        return "true"
    return " || ".join(
        f"({minute} >= {one.from_minute} && {minute} < {one.to_minute})"
        if one.from_minute < one.to_minute
        else f"({minute} >= {one.from_minute} || {minute} < {one.to_minute})"
        for one in windows
    )


def wall_minute(at_ms: int, zone: str) -> int:
    shown = datetime.fromtimestamp(at_ms // 1_000, UTC).astimezone(CITIES[zone])
    return shown.hour * 60 + shown.minute


@dataclass
class Tally:
    """What each requester used of a grant, counted here."""

    used: Counter[bytes] = field(default_factory=Counter)
    chunks: Counter[bytes] = field(default_factory=Counter)


def asked(drawn: Drawn, shown: ShownGrant, tally: Tally) -> tuple[dict[str, Any], Code]:
    """Make one random ask; return it as Cedar sees it, and what the matcher says."""
    rng, world = drawn.rng, drawn.world
    chunks = sorted(rng.sample(range(2, 7), rng.choice([1, 1, 2, 3])))
    if rng.random() < 0.1:
        chunks = sorted({*chunks, rng.choice([0, 1, 7, 8])})
    signer: SigningKey = drawn.mostly(SUBJECT, NEIGHBOUR)
    at_ms = NOW_MS + drawn.mostly(0, -1, 1, -2, 2, 30) * HOUR_MS + rng.randrange(60_000)
    presence = drawn.presence(at_ms)
    action, purpose = drawn.mostly("read", *ACTIONS), drawn.mostly("charging", *PURPOSES)
    evidence = Evidence(action, purpose, presence)
    who = address(signer)
    made = world.request(shown, chunks=chunks, evidence=evidence, signer=signer)
    code = world.code(world.ask(made), milestone_ms=at_ms, now_ms=at_ms)
    dact = shown.signed.dact
    context = {
        "data_from": FIRST_MS + chunks[0] * SLOT_MS,
        "data_to": FIRST_MS + (chunks[-1] + 1) * SLOT_MS,
        "earliest": at_ms,
        "latest": at_ms + SKEW_MS,
        "purpose": purpose,
        "used": tally.used[who],
        "used_chunks": tally.chunks[who],
        "in_hour": tally.used[who],
        "asked": len(chunks),
        "cohort": COHORT,
        "generation": 1,
        "n": N,
        "vault_k": 3,
        "first_minute": wall_minute(at_ms, dact.context.zone),
        "last_minute": wall_minute(at_ms + SKEW_MS, dact.context.zone),
    }
    if presence is not None:
        said = presence.presence
        context |= {
            "station": said.station.hex(),
            "session": said.session.hex(),
            "present": said.subject.hex(),
            "age": at_ms + SKEW_MS - said.at_ms,
            "is_signed": presence.signature != bytes(64),
        }
    tally.used[who] += 1
    tally.chunks[who] += len(chunks)
    request = {
        "principal": entity("Thing", who),
        "action": entity("Action", action),
        "resource": entity("Stream", world.stream),
        "context": context,
    }
    return request, code


@pytest.mark.parametrize("batch", range(BATCHES))
def test_attack_d11_the_matcher_decides_as_cedar_does(batch: int) -> None:
    drawn = Drawn(new_world(f"cedar {batch}"), random.Random(f"cedar {batch}"))
    for number in range(GRANTS // BATCHES):
        dact = drawn.dact()
        registered_k = drawn.mostly(dact.threshold.k, 3)
        end_ms = NOW_MS + DAY_MS
        shown = drawn.world.registered(
            drawn.world.signed(dact), k=registered_k, not_after_ms=end_ms
        )
        tally = Tally()

        pairs = [asked(drawn, shown, tally) for _ in range(ASKS)]

        text = policy(dact, registered_k, end_ms)
        results = cedarpy.is_authorized_batch([request for request, _ in pairs], text, [])
        for (request, code), result in zip(pairs, results, strict=True):
            assert result.diagnostics.errors == [], text
            assert result.allowed == (code is Code.ALLOW), (batch, number, code, text, request)
            drawn.codes[code] += 1
    # a test of nothing but denials would agree with anybody
    whole = sum(drawn.codes.values())
    assert 0.05 * whole < drawn.codes[Code.ALLOW] < 0.9 * whole, drawn.codes
    assert set(drawn.codes) == DENIALS | {Code.ALLOW}
