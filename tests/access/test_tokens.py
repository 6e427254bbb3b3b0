"""Documents of grants: their times of day, their limits, and passing them on."""

import random
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from access.codes import Code
from access.tokens.dact import (
    AccessContext,
    Dact,
    Limits,
    Place,
    Resource,
    Threshold,
    Window,
    decode_dact,
)
from access.tokens.delegation import is_covered, minutes_of, widened
from access.tokens.zones import Zone, is_summer, minute_of_day
from tangle.codec import encode
from tangle.errors import MalformedBytesError
from tangle.outcomes import Reason
from tests.access.world import (
    ANY_PLACE,
    DAY_MS,
    NOW_MS,
    SLOT_MS,
    STATION,
    STRANGER,
    World,
    address,
    new_world,
)

CITIES: Final = {"WET": "Europe/Lisbon", "CET": "Europe/Berlin", "EET": "Europe/Helsinki"}
WORLD: Final = new_world("tokens")
"""Not changed by any test that uses it."""

minutes = st.integers(0, 1_439)


def _window(pair: tuple[int, int]) -> Window:
    return Window(*pair)


window_lists = st.lists(
    st.tuples(minutes, minutes).filter(lambda one: one[0] != one[1]).map(_window), max_size=3
).map(tuple)


# Zones.


@given(st.integers(946_684_800_000, 2_140_000_000_000), st.sampled_from(sorted(CITIES)))
@settings(max_examples=400)
def test_the_minute_of_the_day_is_what_clocks_on_the_wall_show(at_ms: int, zone: Zone) -> None:
    shown = datetime.fromtimestamp(at_ms // 1_000, UTC).astimezone(ZoneInfo(CITIES[zone]))

    assert minute_of_day(at_ms, zone) == shown.hour * 60 + shown.minute


@pytest.mark.parametrize("year", range(1997, 2038))
def test_summer_begins_and_ends_when_the_tables_say(year: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for month, begins in ((3, True), (10, False)):
        noon = datetime(year, month, 31, 1, tzinfo=UTC)
        change = noon - timedelta(days=noon.isoweekday() % 7)
        at_ms = int(change.timestamp()) * 1_000

        assert is_summer(at_ms - 1) != begins
        assert is_summer(at_ms) == begins
        assert (change.astimezone(berlin).dst() != timedelta(0)) == begins


def test_there_is_no_summer_in_universal_time_nor_beyond_the_calendar() -> None:
    july_ms = int(datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp()) * 1_000

    assert minute_of_day(july_ms, "UTC") == 720
    assert minute_of_day(july_ms, "CET") == 14 * 60
    assert not is_summer(2**62)
    assert 0 <= minute_of_day(2**62, "EET") < 1_440


@pytest.mark.parametrize(
    ("text", "window", "code"),
    [
        # in spring clocks go from 02:00 to 03:00: the hour between does not come; with the skew
        # the change lies within what it can be
        ("2027-03-28T00:59:55", Window(0, 120), Code.DENY_CONTEXT),
        ("2027-03-28T00:59:55", Window(0, 181), Code.ALLOW),
        ("2027-03-28T01:00:30", Window(120, 180), Code.DENY_CONTEXT),
        ("2027-03-28T01:00:30", Window(180, 240), Code.ALLOW),
        # in autumn the hour from 02:00 comes twice: both times it is that hour
        ("2027-10-31T00:30:00", Window(120, 180), Code.ALLOW),
        ("2027-10-31T01:30:00", Window(120, 180), Code.ALLOW),
        ("2027-10-31T02:00:30", Window(120, 180), Code.DENY_CONTEXT),
    ],
)
def test_attack_d9_the_nights_when_clocks_change(text: str, window: Window, code: Code) -> None:
    world = new_world()
    world.now_ms = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000
    context = AccessContext(0, world.now_ms + DAY_MS, "CET", (window,), ANY_PLACE, "charging", None)
    shown = world.granted(context=context)

    assert world.code(world.ask(world.request(shown))) is code


# Windows.


@given(minutes, window_lists)
def test_a_window_covers_its_minutes(minute: int, ones: tuple[Window, ...]) -> None:
    assert is_covered(minute, ones) == (minute in minutes_of(ones))


# Documents.


def _dacts(draw: st.DrawFn) -> Dact:
    rng = random.Random(draw(st.integers(0, 2**32)))
    usual = WORLD.dact()
    from_ms, before_ms = draw(st.integers(0, 50)), draw(st.integers(0, 50))
    place = draw(
        st.sampled_from(
            [
                ANY_PLACE,
                *(
                    Place(kind, tuple(sorted(ids)))
                    for kind in ("region", "station")
                    for ids in ([address(STATION)], [address(STATION), address(STRANGER)])
                ),
            ]
        )
    )
    session = draw(st.sampled_from([None, bytes(32)])) if place.ids else None
    actions = draw(st.sets(st.sampled_from(["delegate", "read", "settle"]), min_size=1))
    return msgspec.structs.replace(
        usual,
        nonce=rng.randbytes(16),
        resource=Resource(bytes(32), bytes(32), from_ms, from_ms + draw(st.integers(0, 50))),
        actions=tuple(sorted(actions)),
        context=AccessContext(
            before_ms,
            before_ms + draw(st.integers(0, 50)),
            draw(st.sampled_from(["UTC", "CET"])),
            draw(window_lists),
            place,
            draw(st.sampled_from(["audit", "charging"])),
            session,
        ),
        threshold=Threshold("home", 1, draw(st.integers(1, 5)), 5),
        limits=Limits(*(draw(st.integers(0, 3)) for _ in range(3))),
        offline_grace_ms=draw(st.integers(0, 2)),
        depth=draw(st.integers(0, 3)),
    )


dacts = st.composite(_dacts)()


@given(dacts, dacts, dacts)
@settings(max_examples=200)
def test_what_is_not_wider_stays_so_over_every_link(one: Dact, two: Dact, three: Dact) -> None:
    if not widened(two, one) and not widened(three, two):
        assert set(widened(three, one)) == set()


@given(dacts)
def test_a_grant_passed_on_as_it_is_fails_by_its_depth_and_by_what_it_lacks(one: Dact) -> None:
    expected = {"depth"} if "delegate" in one.actions else {"depth", "delegate"}

    assert set(widened(one, one)) == expected


@given(dacts, dacts)
@settings(max_examples=200)
def test_what_a_child_allows_its_parent_allows(child: Dact, parent: Dact) -> None:
    """By the moments, chunks and minutes themselves, not by comparing fields."""
    child = msgspec.structs.replace(child, context=_within(child.context, parent.context))
    if widened(child, parent):
        return
    one, other = child.context, parent.context
    for at_ms in range(110):
        if one.not_before_ms <= at_ms < one.not_after_ms:
            assert other.not_before_ms <= at_ms < other.not_after_ms
        if child.resource.from_ms <= at_ms < child.resource.to_ms:
            assert parent.resource.from_ms <= at_ms < parent.resource.to_ms
    for minute in range(0, 1_440, 7):
        if is_covered(minute, one.daily):
            assert is_covered(minute, other.daily)


def _within(one: AccessContext, other: AccessContext) -> AccessContext:
    return msgspec.structs.replace(one, place=other.place, purpose=other.purpose, session=None)


@given(dacts)
def test_a_document_is_read_as_it_was_written(dact: Dact) -> None:
    signed = WORLD.signed(dact)

    assert decode_dact(encode(signed)) == signed


def _broken(**changed: object) -> bytes:
    """Return the bytes of a signed document with a field that breaks its rule."""
    signed = msgspec.msgpack.decode(encode(WORLD.signed(WORLD.dact())))
    names = Dact.__struct_fields__
    for name, value in changed.items():
        signed[0][names.index(name)] = value
    return encode(signed)


CONTEXT: Final = [0, 1, "UTC", [], ["any", []], "charging", None]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"version": 2}, id="version"),
        pytest.param({"nonce": bytes(15)}, id="short nonce"),
        pytest.param({"actions": ["read", "read"]}, id="an action twice"),
        pytest.param({"actions": ["settle", "read"]}, id="actions out of order"),
        pytest.param({"actions": []}, id="no action"),
        pytest.param({"actions": ["write"]}, id="unknown action"),
        pytest.param({"min_addresses": 1}, id="one address"),
        pytest.param({"min_addresses": 3}, id="more addresses than a chunk has"),
        pytest.param({"depth": 4}, id="too deep"),
        pytest.param({"issued_at_ms": 1.5}, id="a float"),
        pytest.param({"issued_at_ms": 2**64 - 1}, id="a huge integer"),
        pytest.param({"issued_at_ms": -1}, id="a negative time"),
        pytest.param({"owner": "tw1…"}, id="text for bytes"),
        pytest.param({"threshold": ["hοme", 1, 3, 5]}, id="a Greek letter that looks Latin"),
        pytest.param({"context": [*CONTEXT[:3], [[5, 5]], *CONTEXT[4:]]}, id="empty window"),
        pytest.param({"context": [*CONTEXT[:3], [[0, 1_440]], *CONTEXT[4:]]}, id="minute 1,440"),
        pytest.param({"context": [*CONTEXT[:3], [[0, 1]] * 9, *CONTEXT[4:]]}, id="nine windows"),
        pytest.param({"context": [*CONTEXT[:2], "MEZ", *CONTEXT[3:]]}, id="unknown zone"),
        pytest.param({"context": [*CONTEXT[:4], ["any", [bytes(32)]], *CONTEXT[5:]]}, id="any 1"),
        pytest.param({"context": [*CONTEXT[:4], ["station", []], *CONTEXT[5:]]}, id="no station"),
        pytest.param(
            {"context": [*CONTEXT[:4], ["station", [bytes(32)] * 2], *CONTEXT[5:]]}, id="twice"
        ),
        pytest.param({"context": [*CONTEXT[:6], bytes(32)]}, id="a session without a place"),
        pytest.param({"context": [*CONTEXT[:5], "spying", None]}, id="unknown purpose"),
    ],
)
def test_attack_d3_a_document_that_breaks_its_form_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(MalformedBytesError):
        decode_dact(_broken(**changed))


# The whole path, whatever is flipped or asked.


def _asked_world() -> tuple[World, bytes]:
    world = new_world()
    return world, world.ask(world.request(world.granted()))


ASKED: Final = _asked_world()


@given(st.integers(0, 8 * len(ASKED[1]) - 1))
@settings(max_examples=300)
def test_attack_d2_an_ask_with_any_other_bit_is_never_allowed(bit: int) -> None:
    world, data = ASKED
    altered = bytearray(data)
    altered[bit // 8] ^= 1 << bit % 8

    assert world.code(bytes(altered)) is not Code.ALLOW


@given(st.integers(0, 2**32))
@settings(max_examples=200)
def test_attack_d2_a_document_with_any_other_bit_is_a_mismatch_or_no_document(seed: int) -> None:
    world, data = ASKED
    rng = random.Random(seed)
    signed = msgspec.msgpack.decode(data)
    document = bytearray(encode(signed[0][4][0][0]))
    at = rng.randrange(len(document))
    document[at] ^= 1 << rng.randrange(8)
    start = data.index(encode(signed[0][4][0][0]))
    altered = data[:start] + bytes(document) + data[start + len(document) :]

    assert world.code(altered) in (Code.DENY_PARSE, Code.DENY_MISMATCH)


@given(
    st.sets(st.integers(0, 8), min_size=1, max_size=4),
    st.integers(0, 9 * SLOT_MS),
    st.integers(0, 9 * SLOT_MS),
)
@settings(max_examples=60)
def test_attack_d8_only_chunks_that_lie_wholly_within_are_released(
    chunks: set[int], from_ms: int, to_ms: int
) -> None:
    world = new_world()
    first_ms = NOW_MS - DAY_MS
    resource = Resource(world.vault, world.stream, first_ms + from_ms, first_ms + to_ms)
    made = world.request(world.granted(resource=resource), chunks=sorted(chunks))

    answer = world.answer(world.ask(made))

    is_within = all(from_ms <= one * SLOT_MS and (one + 1) * SLOT_MS <= to_ms for one in chunks)
    assert answer.receipt.receipt.code is (Code.ALLOW if is_within else Code.DENY_SCOPE)
    assert len(answer.partials) == (len(chunks) if is_within else 0)


@given(st.permutations([0, 1, 2]), st.permutations([0, 1, 2]))
@settings(max_examples=36)
def test_attack_r8_of_two_uses_the_ledgers_order_decides_whatever_came_first(
    ledger: list[int], shown: list[int]
) -> None:
    world = new_world()
    grant = world.granted(limits=Limits(1, 100, 9))
    drafted = [world.drafted(grant) for _ in range(3)]
    for one in ledger:
        world.must(world.do(drafted[one][1]))

    codes = {one: world.code(world.ask(drafted[one][0])) for one in shown}

    assert codes[ledger[0]] is Code.ALLOW
    assert [codes[one] for one in ledger[1:]] == [Code.DENY_QUOTA] * 2


@given(st.permutations(["revoke", "request", "other"]))
@settings(max_examples=6)
def test_attack_v7_whatever_the_order_all_who_have_it_agree(order: list[str]) -> None:
    worlds = [new_world("same"), new_world("same")]
    for world in worlds:
        grant = world.granted()
        _, request = world.drafted(grant)
        _, other = world.drafted(grant)
        refused = []
        for step in order:
            if step == "revoke":
                world.must(world.revoke(grant))
                continue
            decided = world.do(request if step == "request" else other)
            refused.append(decided is Reason.REVOKED)
        assert refused == [
            order.index(one) > order.index("revoke") for one in order if one != "revoke"
        ]

    assert dict(worlds[0].rows.scan(b"")) == dict(worlds[1].rows.scan(b""))
