"""Commands that show the community and its market, asked of a node that really answers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner, Result

from api.exit_codes import ExitCode
from api.http.app import create_app
from api.main import app
from tests.api.answering import answering
from tests.api.small_node import api_of
from tests.api.town_node import TEXT, TownNode


class Asked(NamedTuple):
    """A town, and where it answers."""

    town: TownNode
    url: str

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--node", self.url])

    def lines(self, *words: str) -> list[str]:
        result = self.run(*words)
        assert result.exit_code == ExitCode.OK, result.output
        return result.stdout.splitlines()

    def data(self, *words: str) -> dict[str, Any]:
        (line,) = self.lines(*words, "--json")
        found: dict[str, Any] = json.loads(line)
        return found


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    with TownNode(tmp_path) as town, answering(create_app(api_of(town))) as url:
        yield Asked(town, url)


def test_energy_show_tells_what_there_is_in_plain_units(asked: Asked) -> None:
    asked.town.begin()
    asked.town.does("U", "energy.actual", energy="8 kWh")

    lines = asked.lines("energy", "show")

    assert lines[0] == f"after milestone {asked.town.core.confirmed_index}"
    assert lines[1:6] == [
        "tokens      9 ENT",
        "stored      8 kWh",
        "gap         1 ENT, rate 0.05",
        "money       150 EUR",
        f"unit        {TEXT['U']}: 8 kWh of 20 kWh, 8 kWh free, efficiency 0.9, owner {TEXT['A']}",
    ]
    assert "banker      nobody" in lines
    assert lines[-1].startswith("parameters  M 0.5, B 0.5, C 0.05, H 2h")
    assert asked.data("energy", "show")["total_energy_wh"] == 8_000


def test_member_show_tells_what_is_free_and_what_is_bound(asked: Asked) -> None:
    town = asked.town
    town.begin()
    town.does("B", "energy.connect", unit="U", edge="E", limit="3 ENT")
    town.does("B", "energy.open_session", unit="U", amount="2 ENT")
    order = town.does("B", "market.buy", amount="2 ENT", price="1.5 EUR/ENT")
    for voter in "VW":
        town.does(
            voter,
            "ctt.create",
            admin="A",
            operator="A",
            max_tokens=5,
            capacity="9 kWh",
            price="1 EUR",
        )
    town.does("B", "ctt.buy_empty", count=2)
    town.does("B", "ctt.set_on_sale", token=1, token_price="2 EUR", energy_price="0.1 EUR")
    town.does("B", "ctt.approve", token=0, to="A")
    town.does("B", "ctt.sign_interruption", limit=500)

    lines = asked.lines("member", "show", TEXT["B"])

    assert lines == [
        f"{TEXT['B']}, member, after milestone {town.core.confirmed_index}",
        "tokens      5.2 ENT, 2 ENT locked",
        "money       45 EUR, 3 EUR locked, 0 EUR of it to be paid out",
        f"session     {TEXT['U']}: 2 kWh for 2 ENT, rate 0",
        f"connected   {TEXT['U']}, limit 3 ENT",
        f"order       buy   2 ENT at 1.5 EUR/ENT  {order}",
        "CTT         0 kWh available, down to 500 W when empty",
        "CTT         0 kWh consumed that no token covered",
        f"CTT 0       0 kWh of 9 kWh, approved for {TEXT['A']}",
        "CTT 1       0 kWh of 9 kWh, on sale for 2 EUR",
    ]
    assert asked.data("member", "show", TEXT["B"])["ent_locked_uent"] == 2_000_000


def test_member_show_of_nobody_shows_nothing_and_of_no_address_is_refused(asked: Asked) -> None:
    assert asked.lines("member", "show", TEXT["A"]) == [
        f"{TEXT['A']}, member, after milestone 0",
        "tokens      0 ENT, 0 ENT locked",
        "money       100 EUR, 0 EUR locked, 0 EUR of it to be paid out",
    ]
    assert asked.run("member", "show", "tw1nobody").exit_code == ExitCode.USAGE


def test_vote_list_tells_what_each_vote_would_do(asked: Asked) -> None:
    assert asked.lines("vote", "list") == ["no open vote after milestone 0; voters: 2"]
    asked.town.begin()
    asked.town.vote("V", "remove_unit", unit="U")

    assert asked.lines("vote", "list") == [
        f"remove_unit: unit {TEXT['U']}",
        "  yes 1 of 2 needed, no 0",
        "  total.energy: 9 kWh → 0 kWh",
        "  gap: 0 ENT → 9 ENT",
        "  rate: 0 → 0.45",
    ]
    assert asked.data("vote", "list")["votes"][0]["act"] == "remove_unit"


def test_vote_list_says_what_has_become_impossible(asked: Asked) -> None:
    asked.town.does("B", "bank.lock", amount="5 EUR")
    asked.town.vote("V", "fund_burn", member="B", amount="5 EUR")
    asked.town.decide("fund_burn", member="B", amount="2 EUR")

    lines = asked.lines("vote", "list")

    assert "  could not be carried out now: INSUFFICIENT_EEURO" in lines


def test_the_market_is_shown_from_the_book_and_its_past(asked: Asked) -> None:
    town = asked.town
    town.begin()
    town.does("B", "market.sell", amount="3 ENT", price="2 EUR/ENT")
    town.does("A", "market.buy", amount="1 ENT", price="2 EUR/ENT")
    town.does("A", "market.buy", amount="1 ENT", price="2.5 EUR/ENT")
    bid = town.does("A", "market.buy", amount="4 ENT", price="1 EUR/ENT")

    assert asked.lines("market", "depth") == [
        "sell  2 EUR/ENT            1 ENT in 1 orders",
        f"----  after milestone {town.core.confirmed_index}",
        "buy   1 EUR/ENT            4 ENT in 1 orders",
    ]
    assert asked.lines("market", "orders", "--address", TEXT["A"]) == [
        f"buy   4 ENT at 1 EUR/ENT  {bid}  {TEXT['A']}"
    ]
    assert asked.lines("market", "orders", "--limit", "1")[-1] == "there are more than these 1"
    newest, rest = asked.lines("market", "trades", "--limit", "1")
    assert newest.endswith(f"1 ENT at 2 EUR/ENT  {TEXT['B']} → {TEXT['A']}")
    more = asked.lines("market", "trades", "--before", rest.rpartition(" ")[2])
    assert len(more) == 1
    (candle,) = asked.lines("market", "candles", "--span", "1d")
    assert candle.endswith("2 EUR  2 EUR  2 EUR  2 EUR  2 ENT in 2 trades")


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("market", "depth"), "sell"),
        (("market", "orders"), "orders"),
        (("market", "trades"), "trades"),
        (("market", "candles"), "candles"),
    ],
)
def test_the_market_is_shown_as_json(asked: Asked, words: tuple[str, str], key: str) -> None:
    assert asked.data(*words)[key] == []


def test_a_question_the_node_refuses_says_why(asked: Asked) -> None:
    result = asked.run("market", "candles", "--span", "1s")

    assert result.exit_code == ExitCode.REFUSED
    assert "at least 60000 ms" in result.output
