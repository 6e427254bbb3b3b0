"""What a home node shows of a stretch of time: whole, proven, and to nobody else."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from api.node.node_service import NodeApi
from devices.reading_page import (
    MAX_PAGE_READINGS,
    ReadingsPage,
    ShownBatch,
    decode_page,
    verify_pages,
)
from devices.span_request import SpanRequest, Subject, sign_span
from energy.bills.reported import ShownReport, decode_reports, verify_reports
from energy.bills.statements import MAX_STATED_MS, decode_statement
from energy.settlement.slots import SLOT_MS
from energy.units import DAY_MS
from tangle.address import Address
from tangle.errors import InvalidProofError, InvalidRequestError, NotProvableError
from tangle.keys import SigningKey
from tests.api.billed_home import AFTER_MS, FIRST_MS, ISSUER, METER, BilledHome
from tests.community import member_key
from tests.edge.settling_home import BERT, OWNER, UNIT, UNIT_ADDRESS, whose
from tests.tangle.cores import GENESIS

CUSTOMER = member_key(1)
NOBODY = member_key(4_711)
"""Of nobody that the ledger knows."""

SPAN = (FIRST_MS, AFTER_MS)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BilledHome]:
    """Return a home that has been settled; no test changes it."""
    folder: Path = tmp_path_factory.mktemp("home")
    home = BilledHome(folder / "node", member_key(7))
    home.live()
    yield home
    home.journal.close()


def ask(
    home: BilledHome,
    subject: Subject,
    whom: Address,
    key: SigningKey,
    span: tuple[int, int] = SPAN,
    **changes: object,
) -> bytes:
    request = SpanRequest(home.core.rules.network, subject, whom, *span, home.core.confirmed_index)
    signed = sign_span(msgspec.structs.replace(request, **changes), key)
    api: NodeApi = home.api(ISSUER)
    return asyncio.run(api.show_span(signed))


def page_of(home: BilledHome) -> ReadingsPage:
    return decode_page(ask(home, "readings", whose(METER), home.customer))


def test_a_page_holds_the_readings_of_the_time_and_one_at_either_side(home: BilledHome) -> None:
    page = page_of(home)
    shown = verify_pages([page], METER.public, GENESIS)

    assert [one.sequence for one in shown.readings] == list(range(193))
    assert shown.unproven == ()
    assert page.next_ms is None


def test_pages_go_on_where_the_last_one_ended(
    home: BilledHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.node.span_answers.MAX_PAGE_READINGS", 10)
    pages, from_ms = [], FIRST_MS
    while True:
        data = ask(home, "readings", whose(METER), METER, (from_ms, AFTER_MS))
        pages.append(decode_page(data))
        after_ms = pages[-1].next_ms
        if after_ms is None:
            break
        assert after_ms > from_ms
        from_ms = after_ms

    shown = verify_pages(pages, METER.public, GENESIS)

    assert [one.sequence for one in shown.readings] == list(range(193))
    assert shown.unproven == ()
    assert MAX_PAGE_READINGS > 10


@pytest.mark.parametrize(
    ("subject", "whom", "key", "why"),
    [
        pytest.param("readings", whose(METER), ISSUER, "may not ask", id="an issuer, readings"),
        pytest.param("readings", whose(METER), BERT, "may not ask", id="a stranger, readings"),
        pytest.param("reports", whose(OWNER), BERT, "may not ask", id="a stranger, reports"),
        pytest.param("settled", whose(OWNER), BERT, "may not ask", id="a stranger, days"),
        pytest.param(
            "settled", whose(NOBODY), NOBODY, "is not registered", id="a new key, of its own days"
        ),
        pytest.param(
            "reports", whose(NOBODY), NOBODY, "is not registered", id="a new key, of its reports"
        ),
        pytest.param("readings", whose(BERT), BERT, "no registered meter", id="no meter"),
    ],
)
def test_nobody_else_is_shown_anything(
    home: BilledHome, subject: Subject, whom: Address, key: SigningKey, why: str
) -> None:
    with pytest.raises(InvalidRequestError, match=why):
        ask(home, subject, whom, key)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"network": bytes(8)}, "is for network"),
        ({"milestone_index": 2**40}, "at most 300"),
        ({"to_ms": FIRST_MS}, "which is no time"),
        ({"to_ms": FIRST_MS + MAX_STATED_MS + 1}, "at most"),
    ],
)
def test_a_request_is_for_here_and_now_and_some_time(
    home: BilledHome, changes: dict[str, object], why: str
) -> None:
    with pytest.raises(InvalidRequestError, match=why):
        ask(home, "settled", whose(home.customer), ISSUER, SPAN, **changes)


def test_a_request_signed_by_another_is_refused(home: BilledHome) -> None:
    index = home.core.confirmed_index
    request = SpanRequest(home.core.rules.network, "settled", whose(OWNER), *SPAN, index)
    signed = sign_span(request, OWNER)

    with pytest.raises(InvalidRequestError, match="is not signed by key"):
        asyncio.run(home.api().show_span(signed[:-1] + bytes([signed[-1] ^ 1])))


def test_a_meter_that_has_no_readings_here_is_said_to(home: BilledHome) -> None:
    stranger = member_key(50)
    home.enrol(stranger, BERT)

    with pytest.raises(NotProvableError, match="has no readings of"):
        ask(home, "readings", whose(stranger), BERT)


BREAKS: dict[str, tuple[Callable[[ShownBatch], ShownBatch], str]] = {
    "another reading": (
        lambda one: msgspec.structs.replace(one, readings=one.readings[1:]),
        "others are shown for it",
    ),
    "another salt": (
        lambda one: msgspec.structs.replace(
            one,
            readings=(
                msgspec.structs.replace(one.readings[0], salt=bytes(32)),
                *one.readings[1:],
            ),
        ),
        "the ledger committed to",
    ),
    "an altered reading": (
        lambda one: msgspec.structs.replace(
            one,
            readings=(
                msgspec.structs.replace(
                    one.readings[0], signed=one.readings[0].signed[:-1] + b"\0"
                ),
                *one.readings[1:],
            ),
        ),
        "a reading that is shown",
    ),
    "not applied": (
        lambda one: msgspec.structs.replace(
            one,
            proof=None if one.proof is None else msgspec.structs.replace(one.proof, applied=None),
        ),
        "not proven to be an applied",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_page_that_was_altered_proves_nothing(home: BilledHome, name: str) -> None:
    page = page_of(home)
    change, why = BREAKS[name]
    batches = (change(page.batches[0]), *page.batches[1:])

    with pytest.raises(InvalidProofError, match=why):
        verify_pages([msgspec.structs.replace(page, batches=batches)], METER.public, GENESIS)


def test_readings_that_contradict_each_other_are_refused(home: BilledHome) -> None:
    page = page_of(home)
    (one, *rest) = (reading for batch in page.batches for reading in batch.readings)
    shown = ShownBatch((rest[-1],), None, "altered")
    later = ShownBatch((one,), None, "altered")

    found = verify_pages(
        [msgspec.structs.replace(page, batches=(shown, later))], METER.public, GENESIS
    )

    assert [reading.sequence for reading in found.readings] == [192]


# Reports.


def reports_of(home: BilledHome) -> tuple[ShownReport, ...]:
    return decode_reports(ask(home, "reports", whose(home.customer), ISSUER)).reports


def test_reports_are_those_about_the_member_and_of_the_time(home: BilledHome) -> None:
    meters = frozenset({whose(METER)})
    found, unproven = verify_reports(reports_of(home), whose(home.customer), meters, GENESIS)
    first = decode_reports(
        ask(
            home,
            "reports",
            whose(home.customer),
            home.customer,
            (FIRST_MS, FIRST_MS + 96 * SLOT_MS),
        )
    )

    assert sorted((one.kind, one.energy_wh) for one in found) == [
        ("consumed", 780),
        ("consumed", 780),
        ("produced", 1_800),
        ("produced", 1_800),
    ]
    assert unproven == 0
    assert len(first.reports) == 2
    assert first.kept_from_ms == 0


REPORT_BREAKS: dict[str, Callable[[ShownReport], ShownReport]] = {
    "more energy": lambda one: changed(one, energy_wh=one.report.energy_wh + 1),
    "the other kind": lambda one: changed(one, kind="recharged"),
    "another time": lambda one: changed(one, at_ms=one.report.at_ms + 1),
    "another transaction": lambda one: changed(one, tx_id=bytes(32)),
}


def changed(one: ShownReport, **changes: object) -> ShownReport:
    return msgspec.structs.replace(one, report=msgspec.structs.replace(one.report, **changes))


@pytest.mark.parametrize("name", REPORT_BREAKS)
def test_a_report_that_is_not_what_was_applied_is_refused(home: BilledHome, name: str) -> None:
    (first, *rest) = reports_of(home)

    with pytest.raises(InvalidProofError):
        verify_reports(
            [REPORT_BREAKS[name](first), *rest], whose(home.customer), frozenset(), GENESIS
        )


def test_a_report_counts_once_and_for_its_member(home: BilledHome) -> None:
    shown = reports_of(home)

    with pytest.raises(InvalidProofError, match="shown twice"):
        verify_reports([*shown, shown[0]], whose(home.customer), frozenset(), GENESIS)
    with pytest.raises(InvalidProofError, match="about this member"):
        verify_reports(shown, whose(BERT), frozenset(), GENESIS)


# What was settled.


def test_a_member_and_an_issuer_are_told_the_same(home: BilledHome) -> None:
    whom = whose(home.customer)
    asked = [ask(home, "settled", whom, key) for key in (home.customer, ISSUER)]

    assert asked[0] == asked[1]
    stated = decode_statement(asked[0])
    assert (stated.zone, stated.through_ms, stated.of_units) == ("UTC", AFTER_MS, (UNIT_ADDRESS,))
    assert [(one.import_wh, one.export_wh) for one in stated.days] == [(3_300, 2_400)] * 2
    assert [(one.meter, one.regime) for one in stated.points] == [(whose(METER), "storage")]
    assert [(one.unit, one.through_ms, one.own) for one in stated.units] == [
        (UNIT_ADDRESS, AFTER_MS, ())
    ]


def test_a_node_goes_on_while_it_looks_through_a_year(home: BilledHome) -> None:
    """Its loop turns after each day of what it opens: else the whole node would wait for a bill."""
    whom = whose(home.customer)
    index = home.core.confirmed_index
    span = AFTER_MS - 300 * DAY_MS, AFTER_MS
    request = SpanRequest(home.core.rules.network, "settled", whom, *span, index)
    signed = sign_span(request, home.customer)

    async def turns() -> int:
        asked = asyncio.create_task(home.api(ISSUER).show_span(signed))
        count = 0
        while not asked.done():
            await asyncio.sleep(0)
            count += 1
        assert [one.import_wh for one in decode_statement(await asked).days][-2:] == [3_300] * 2
        return count

    assert asyncio.run(turns()) > 300


def test_an_owner_is_told_of_its_unit(home: BilledHome) -> None:
    stated = decode_statement(ask(home, "settled", whose(OWNER), OWNER))

    (unit,) = stated.units
    assert [(one.charge_wh, one.grid_wh, one.feed_in_wh) for one in unit.own] == [(0, 0, 0)] * 2
    assert [(one.meter, one.is_of_unit) for one in stated.points] == [(whose(UNIT), True)]
