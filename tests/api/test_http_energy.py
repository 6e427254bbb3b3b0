"""What the HTTP door tells of the energy layer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from api.http import energy_views, trade_reads
from api.http.app import create_app
from api.http.service import PlacedTrade, TradePlace
from api.node import market_history
from api.node.market_history import trade_slice
from energy.governance.contract import LAPSE_MS
from energy.powerchain.registry import gap_without
from energy.units import RATE, render
from tests.api.asking import ask
from tests.api.small_node import START_MS, api_of
from tests.api.town_node import TEXT, WHO, TownNode

STRANGER = "tw1" + "q" * 58


@pytest.fixture
def town(tmp_path: Path) -> Iterator[TownNode]:
    with TownNode(tmp_path) as node:
        yield node


@pytest.fixture
def app(town: TownNode) -> FastAPI:
    return create_app(api_of(town))


def get(app: FastAPI, path: str) -> dict[str, Any]:
    answer = ask(app, "GET", f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def refused(app: FastAPI, path: str) -> tuple[int, str]:
    answer = ask(app, "GET", f"/api/v1/{path}")
    return answer.status_code, answer.json()["code"]


def trading(town: TownNode) -> list[str]:
    """Let B sell to A three times at rising prices, the last meeting two orders; their ids."""
    town.begin()
    ids = []
    for price in ("1 EUR/ENT", "2 EUR/ENT"):
        town.does("B", "market.sell", amount="1 ENT", price=price)
        ids.append(town.does("A", "market.buy", amount="1 ENT", price=price))
    for price in ("3 EUR/ENT", "4 EUR/ENT"):
        town.does("B", "market.sell", amount="0.5 ENT", price=price)
    ids.append(town.does("A", "market.buy", amount="1 ENT", price="5 EUR/ENT"))
    return ids


# The community.


def test_energy_shows_totals_units_and_rules(town: TownNode, app: FastAPI) -> None:
    town.begin()
    town.does("U", "energy.actual", energy="8 kWh")
    town.does("U", "energy.delegate", to="E")
    town.decide("set_banker", member="A")
    town.decide("set_parameter", name="H", value="90min")

    shown = get(app, "energy")

    assert shown["parameters"].pop("H") == "90min"
    assert shown.pop("parameters") == {
        "M": "0.5",
        "B": "0.5",
        "C": "0.05",
        "F": "0.2",
        "surplus": "bonus",
        "settlement_period": "1d",
        "report_grace": "2d",
        "trade_price": "resting",
        "community_fund": "on",
    }
    assert shown == {
        "index": town.core.confirmed_index,
        "timestamp_ms": town.clock_ms,
        "total_ent_uent": 9_000_000,
        "total_eeuro_ueur": 150_000_000,
        "total_energy_wh": 8_000,
        "gap_uent": 1_000_000,
        "rate_ppm": 50_000,
        "banker": TEXT["A"],
        "voters": sorted((TEXT["V"], TEXT["W"])),
        "units": [
            {
                "unit": TEXT["U"],
                "owner": TEXT["A"],
                "capacity_wh": 20_000,
                "efficiency_ppm": 900_000,
                "stored_wh": 8_000,
                "free_wh": 8_000,
                "sessions": 0,
                "reporter": TEXT["E"],
                "next_report": 1,
            }
        ],
    }


def test_energy_of_a_new_network_is_nothing(app: FastAPI) -> None:
    shown = get(app, "energy")

    assert (shown["index"], shown["timestamp_ms"]) == (0, START_MS)
    assert (shown["gap_uent"], shown["rate_ppm"], shown["banker"]) == (0, 0, None)
    assert shown["units"] == []


# Members.


def bound(town: TownNode) -> str:
    """Let B bind tokens and money in every way there is; the id of its order."""
    town.begin()
    town.does("B", "energy.connect", unit="U", edge="E", limit="3 ENT")
    town.does("B", "energy.open_session", unit="U", amount="2 ENT")
    town.does("B", "bank.lock", amount="5 EUR")
    return town.does("B", "market.buy", amount="2 ENT", price="1.5 EUR/ENT", expires="1h")


def test_a_member_is_shown_with_all_that_is_bound(town: TownNode, app: FastAPI) -> None:
    order = bound(town)

    shown = get(app, f"members/{TEXT['B']}")

    (session,) = shown.pop("sessions")
    assert session.pop("returns_at_ms") - session["expires_at_ms"] == 2 * 86_400_000
    assert session == {
        "unit": TEXT["U"],
        "energy_wh": 2_000,
        "amount_uent": 2_000_000,
        "rate_ppm": 0,
        "expires_at_ms": town.clock_ms - 4_000 + 7_200_000,
        "is_open": True,
    }
    (open_order,) = shown.pop("orders")
    assert open_order == {
        "id": order,
        "owner": TEXT["B"],
        "side": "buy",
        "left_uent": 2_000_000,
        "price_ueur": 1_500_000,
        "posted_index": town.core.confirmed_index,
        "expires_at_ms": town.clock_ms - 2_000 + 3_600_000,
    }
    assert shown == {
        "index": town.core.confirmed_index,
        "address": TEXT["B"],
        "role": "member",
        "owner": None,
        "next_sequence": 4,
        "ent_uent": 5_200_000,
        "ent_locked_uent": 2_000_000,
        "eeuro_ueur": 42_000_000,
        "eeuro_locked_ueur": 8_000_000,
        "withdrawal_ueur": 5_000_000,
        "connections": [
            {
                "unit": TEXT["U"],
                "edge": TEXT["E"],
                "limit_uent": 3_000_000,
                "falls_to_uent": None,
                "falls_at_ms": None,
                "since_ms": town.clock_ms - 6_000,
            }
        ],
        "orders_whole": True,
        "ctt_available_wh": 0,
        "ctt_limit_w": None,
        "ctt_uncovered_wh": 0,
        "ctt_tokens": [],
    }


def test_a_member_is_shown_with_its_energy_accounts(town: TownNode, app: FastAPI) -> None:
    terms = {"admin": "A", "operator": "A", "max_tokens": 5, "capacity": "9 kWh", "price": "1 EUR"}
    town.does("V", "ctt.create", **terms)
    town.does("W", "ctt.create", **terms)
    town.does("B", "ctt.buy_empty", count=2)
    town.does("B", "ctt.set_on_sale", token=1, token_price="2 EUR", energy_price="0.1 EUR")
    town.does("B", "ctt.approve", token=0, to="A")
    town.does("B", "ctt.sign_interruption", limit=500)
    town.does("A", "ctt.register", meter="U")
    town.does("A", "ctt.confirm", meter="U", prosumer="A")

    shown = get(app, f"members/{TEXT['B']}")

    assert shown["ctt_limit_w"] == 500
    empty = {"capacity_wh": 9_000, "energy_wh": 0}
    assert shown["ctt_tokens"] == [
        {"token": 0, **empty, "price_ueur": None, "approved": TEXT["A"]},
        {"token": 1, **empty, "price_ueur": 2_000_000, "approved": None},
    ]


def test_who_is_nobody_has_nothing_and_what_is_no_address_is_refused(app: FastAPI) -> None:
    shown = get(app, f"members/{TEXT['A']}")
    assert (shown["eeuro_ueur"], shown["orders"], shown["ctt_tokens"]) == (100_000_000, [], [])

    assert refused(app, f"members/{STRANGER}") == (400, "INVALID_ADDRESS")
    assert refused(app, f"market/orders?address={STRANGER}") == (400, "INVALID_ADDRESS")


# Votes.


def test_a_vote_on_removing_a_unit_shows_the_rate_that_would_follow(
    town: TownNode, app: FastAPI
) -> None:
    town.begin()
    town.vote("V", "remove_unit", unit="U")
    opened_ms = town.clock_ms

    shown = get(app, "votes")

    rate = render(gap_without(town.core.ledger.rows, WHO["U"]).rate_ppm, RATE)
    assert shown == {
        "index": town.core.confirmed_index,
        "voters": 2,
        "votes": [
            {
                "act": "remove_unit",
                "arguments": {"unit": TEXT["U"]},
                "opener": TEXT["V"],
                "opened_at_ms": opened_ms,
                "lapses_at_ms": opened_ms + LAPSE_MS,
                "yes": [TEXT["V"]],
                "no": [],
                "counted": 1,
                "needed": 2,
                "refused": None,
                "changes": [
                    {"key": "total.energy", "now": "9 kWh", "then": "0 kWh"},
                    {"key": "gap", "now": "0 ENT", "then": "9 ENT"},
                    {"key": "rate", "now": "0", "then": rate},
                ],
            }
        ],
    }
    assert rate == "0.45"


def test_each_open_vote_says_what_it_is_about_in_order_of_opening(
    town: TownNode, app: FastAPI
) -> None:
    town.vote("V", "add_voter", member="A")
    town.vote("V", "set_parameter", name="C", value="0.1")
    town.vote("W", "fund_mint", member="B", amount="5 EUR")
    town.vote("W", "set_banker", member="B")
    town.vote("V", "register_unit", unit="U", owner="A", capacity="20 kWh")

    votes = get(app, "votes")["votes"]

    assert [(one["act"], one["arguments"]) for one in votes] == [
        ("add_voter", {"member": TEXT["A"]}),
        ("set_parameter", {"name": "C", "value": "0.1"}),
        ("fund_mint", {"member": TEXT["B"], "amount": "5 EUR"}),
        ("set_banker", {"member": TEXT["B"]}),
        (
            "register_unit",
            {"unit": TEXT["U"], "owner": TEXT["A"], "capacity": "20 kWh", "efficiency": "1"},
        ),
    ]
    changes = [[(one["key"], one["now"], one["then"]) for one in vote["changes"]] for vote in votes]
    both = sorted((TEXT["V"], TEXT["W"]))
    assert changes == [
        [("voters", both, sorted((*both, TEXT["A"])))],
        [("parameter.C", "0.05", "0.1")],
        [
            ("total.eeuro", "150 EUR", "155 EUR"),
            (f"{TEXT['B']}.eeuro", "50 EUR", "55 EUR"),
        ],
        [("banker", "none", TEXT["B"])],
        [],
    ]


def test_what_has_become_impossible_says_why(town: TownNode, app: FastAPI) -> None:
    town.does("B", "bank.lock", amount="5 EUR")
    town.vote("V", "fund_burn", member="B", amount="5 EUR")
    town.decide("fund_burn", member="B", amount="2 EUR")

    (vote,) = get(app, "votes")["votes"]

    assert (vote["refused"], vote["changes"]) == ("INSUFFICIENT_EEURO", [])


def test_ballots_of_who_is_no_voter_any_more_are_shown_and_not_counted(
    town: TownNode, app: FastAPI
) -> None:
    town.decide("add_voter", member="A")
    town.vote("A", "set_banker", member="B")
    town.does("V", "governance.vote", act="set_banker", arguments={"member": "B"}, yes=False)
    town.decide("remove_voter", member="A")

    (vote,) = get(app, "votes")["votes"]

    assert (vote["yes"], vote["no"]) == ([TEXT["A"]], [TEXT["V"]])
    assert (vote["counted"], vote["needed"]) == (0, 2)


# The market.


def test_depth_adds_up_both_sides(town: TownNode, app: FastAPI) -> None:
    town.begin()
    town.does("B", "market.sell", amount="1 ENT", price="3 EUR/ENT")
    town.does("B", "market.sell", amount="2 ENT", price="3 EUR/ENT")
    town.does("B", "market.sell", amount="1 ENT", price="4 EUR/ENT")
    town.does("A", "market.buy", amount="2 ENT", price="1 EUR/ENT")

    assert get(app, "market/depth") == {
        "index": town.core.confirmed_index,
        "sell": [
            {"price_ueur": 3_000_000, "amount_uent": 3_000_000, "orders": 2},
            {"price_ueur": 4_000_000, "amount_uent": 1_000_000, "orders": 1},
        ],
        "buy": [{"price_ueur": 1_000_000, "amount_uent": 2_000_000, "orders": 1}],
    }
    assert len(get(app, "market/depth?levels=1")["sell"]) == 1


def test_orders_stand_in_the_order_of_the_book_and_may_be_those_of_one_owner(
    town: TownNode, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.begin()
    dear = town.does("B", "market.sell", amount="1 ENT", price="4 EUR/ENT")
    cheap = town.does("B", "market.sell", amount="1 ENT", price="3 EUR/ENT")
    bid = town.does("A", "market.buy", amount="2 ENT", price="1 EUR/ENT")

    def shown(query: str = "") -> tuple[list[str], bool]:
        answer = get(app, f"market/orders{query}")
        return [one["id"] for one in answer["orders"]], answer["is_whole"]

    assert shown() == ([cheap, dear, bid], True)
    assert shown(f"?address={TEXT['A']}") == ([bid], True)
    assert shown("?limit=2") == ([cheap, dear], False)
    monkeypatch.setattr(energy_views, "MAX_ORDERS_LOOKED", 1)
    assert shown() == ([cheap, bid], False)
    assert get(app, f"members/{TEXT['B']}")["orders_whole"] is False


def test_trades_come_newest_first_and_page_by_page(town: TownNode, app: FastAPI) -> None:
    first, second, third = trading(town)

    whole = get(app, "market/trades")

    assert [(one["id"], one["price_ueur"]) for one in whole["trades"]] == [
        (third, 4_000_000),
        (third, 3_000_000),
        (second, 2_000_000),
        (first, 1_000_000),
    ]
    newest = whole["trades"][0]
    assert newest["timestamp_ms"] == town.clock_ms
    assert newest["index"] == town.core.confirmed_index
    assert (newest["buyer"], newest["seller"]) == (TEXT["A"], TEXT["B"])
    assert (newest["buy_order"], newest["sell_order"] != third) == (third, True)
    assert (newest["amount_uent"], newest["paid_ueur"]) == (500_000, 2_000_000)
    assert whole["next"] is None
    assert get(app, "market/trades?limit=4") == whole
    assert _paged(app, 1) == whole["trades"]
    assert _paged(app, 3) == whole["trades"]


def _paged(app: FastAPI, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    path = f"market/trades?limit={limit}"
    page = get(app, path)
    for _ in range(20):
        assert len(page["trades"]) <= limit
        found += page["trades"]
        if page["next"] is None:
            return found
        page = get(app, f"{path}&before={page['next']}")
    raise AssertionError(f"20 pages and no end, the last before {page['next']}")


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_slices_of_any_size_make_the_same_past(town: TownNode, most: int) -> None:
    trading(town)
    whole = trade_slice(town.journal, None)

    found: list[PlacedTrade] = []
    before: TradePlace | None = None
    while True:
        part = trade_slice(town.journal, before, most)
        found += part.trades
        if part.next is None:
            break
        assert before is None or part.next < before
        before = part.next

    assert found == list(whole.trades)
    assert len(found) == 4


def test_one_request_looks_at_a_bounded_past(
    town: TownNode, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = trading(town)
    monkeypatch.setattr(trade_reads, "MAX_SLICES", 1)
    monkeypatch.setattr(market_history.trade_slice, "__defaults__", (4,))

    page = get(app, "market/trades")

    assert 0 < len(page["trades"]) < 4
    assert page["next"] is not None
    assert _paged(app, 100)[-1]["id"] == first
    spans = get(app, "market/candles?span=1d")
    assert spans["since_ms"] is not None
    assert spans["candles"][0]["trades"] == len(page["trades"])


def test_candles_add_up_the_trades_of_each_span(town: TownNode, app: FastAPI) -> None:
    town.clock_ms = START_MS + 60_000
    trading(town)
    town.clock_ms += 60_000
    town.does("B", "market.sell", amount="1 ENT", price="6 EUR/ENT")
    town.does("A", "market.buy", amount="1 ENT", price="6 EUR/ENT")

    shown = get(app, "market/candles?span=1min")

    assert (shown["span_ms"], shown["since_ms"]) == (60_000, None)
    assert shown["candles"] == [
        {
            "start_ms": START_MS + 60_000,
            "open_ueur": 1_000_000,
            "high_ueur": 4_000_000,
            "low_ueur": 1_000_000,
            "close_ueur": 4_000_000,
            "amount_uent": 3_000_000,
            "paid_ueur": 6_500_000,
            "trades": 4,
        },
        {
            "start_ms": START_MS + 120_000,
            "open_ueur": 6_000_000,
            "high_ueur": 6_000_000,
            "low_ueur": 6_000_000,
            "close_ueur": 6_000_000,
            "amount_uent": 1_000_000,
            "paid_ueur": 6_000_000,
            "trades": 1,
        },
    ]
    assert get(app, "market/candles?span=1min&limit=1")["candles"] == shown["candles"][1:]


def test_a_candle_that_is_shown_without_remark_is_whole(
    town: TownNode, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    trading(town)
    town.clock_ms = START_MS + 60_000
    for _ in range(4):
        town.does("B", "market.sell", amount="1 ENT", price="6 EUR/ENT")
        town.does("A", "market.buy", amount="1 ENT", price="6 EUR/ENT")
    monkeypatch.setattr(market_history.trade_slice, "__defaults__", (3,))

    shown = get(app, "market/candles?span=1min&limit=1")

    (candle,) = shown["candles"]
    assert (candle["start_ms"], candle["trades"]) == (START_MS + 60_000, 4)
    assert shown["since_ms"] is None


def test_without_trades_there_is_nothing_to_show(app: FastAPI) -> None:
    assert get(app, "market/trades") == {"trades": [], "next": None}
    assert get(app, "market/candles")["candles"] == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("market/trades?before=1", "INVALID_REQUEST"),
        (f"market/trades?before={2**63}-0-0", "INVALID_REQUEST"),
        ("market/trades?limit=0", "INVALID_REQUEST"),
        ("market/trades?limit=1001", "INVALID_REQUEST"),
        ("market/depth?levels=0", "INVALID_REQUEST"),
        ("market/orders?limit=1001", "INVALID_REQUEST"),
        ("market/candles?span=59s", "INVALID_REQUEST"),
        ("market/candles?span=-1h", "INVALID_REQUEST"),
        ("market/candles?span=soon", "INVALID"),
        ("market/candles?limit=1001", "INVALID_REQUEST"),
    ],
)
def test_what_is_out_of_bounds_is_refused(app: FastAPI, path: str, code: str) -> None:
    assert refused(app, path) == (400, code)
