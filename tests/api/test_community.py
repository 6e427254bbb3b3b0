"""The people of a demonstration against a real node, whose milestones come when the test says."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

import pytest
from fastapi import FastAPI
from typing_extensions import override

from api.client.issuing import Issuer
from api.client.node_client import NodeClient, Response
from api.client.sequence_file import sequence_file
from api.exit_codes import ExitCode
from api.failures import CommandError
from api.http.app import create_app
from api.http.energy_forms import DepthJson, EnergyJson, MemberJson, VotesJson
from api.processes.community import Actor, Community
from api.processes.community_sight import sight_of
from api.processes.in_flight import InFlight, Issued
from energy.bank import banker
from energy.demo.charter import Charter
from energy.demo.people import (
    LOW_UEUR,
    PAID_IN_UEUR,
    Banker,
    Device,
    Household,
    Owner,
    Person,
    Voter,
)
from energy.demo.sight import see
from energy.locked import total
from energy.market.book import side_of_book
from energy.powerchain.records import connection_at, sessions_at, unit_at
from tangle.accounts import Token, balance, sequence_window
from tests.api.asking import ask
from tests.api.small_node import api_of
from tests.api.town_node import KEYS, TEXT, WHO, TownNode

CHARTER: Final = Charter(WHO["U"], WHO["A"], WHO["B"], 20_000, 900_000, {"H": 14_400_000})
LOST_AFTER: Final = 6


class Door(NodeClient):
    """A node in this process, reached as over HTTP unless it is told to be away."""

    def __init__(self, app: FastAPI, number: int) -> None:
        super().__init__(f"http://127.0.0.1:{number}")
        self.app = app
        self.is_away = False
        self.loses_posts = False
        self.refuses_posts = False
        self.posts = 0

    @override
    def ask(self, method: str, path: str, body: bytes | None = None) -> Response:
        if self.is_away:
            raise ConnectionRefusedError("nobody is there")
        if body is not None:
            self.posts += 1
            if self.loses_posts:
                raise ConnectionResetError("broken while sending")
            if self.refuses_posts:
                return Response(503, b'{"code": "QUEUE_FULL", "detail": "busy"}')
        headers = {} if body is None else {"Content-Type": "application/json"}
        answer = ask(self.app, method, path, headers, body)
        return Response(answer.status_code, answer.content)


@dataclass
class Street:
    """One node, two doors to it, and the people."""

    folder: Path
    node: TownNode
    doors: list[Door] = field(default_factory=list)

    def __post_init__(self) -> None:
        app = create_app(api_of(self.node))
        self.doors = [Door(app, number) for number in (1, 2)]

    def people(self) -> Community:
        """Return the people as a new process finds them."""
        unit, edge = WHO["U"], WHO["E"]
        persons: dict[str, tuple[Person, ...]] = {
            "V": (Voter(WHO["V"], CHARTER, proposes=True),),
            "W": (Voter(WHO["W"], CHARTER, proposes=False),),
            "A": (Owner(WHO["A"], unit, edge),),
            "B": (Household(WHO["B"], unit, edge), Banker(WHO["B"])),
            "U": (Device(unit, edge),),
        }
        actors = [
            Actor(f"{name}{at}", person, self.issuer(name), 0)
            for name, parts in persons.items()
            for at, person in enumerate(parts)
        ]
        in_flight = InFlight(self.folder / "in-flight.json", self.node.network.hex())
        return Community(actors, unit, self.doors, in_flight, LOST_AFTER, Random(3))

    def issuer(self, name: str) -> Issuer:
        return Issuer(KEYS[name], sequence_file(self.folder / name))

    def does(self, by: str, do: str, **fields: object) -> None:
        """Let somebody issue an operation by hand that is applied."""
        self.node._next[by] = sequence_window(self.node.core.ledger.rows, WHO[by]).next
        self.node.does(by, do, **fields)

    def run(self, people: Community, rounds: int) -> int:
        """Let people act, a milestone after each round; return how many acts were taken in."""
        acts = 0
        for _ in range(rounds):
            acts += people.round()
            self.node.confirm()
        return acts

    def begun(self) -> Community:
        """Return the people once the battery is settled and everybody has joined."""
        people = self.people()
        self.run(people, 8)
        return people


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    folder = tmp_path / "node"
    folder.mkdir()
    with TownNode(folder) as node:
        yield Street(tmp_path, node)


def test_voters_banker_battery_and_members_find_together(street: Street) -> None:
    street.begun()

    rows = street.node.core.ledger.rows
    unit = unit_at(rows, WHO["U"])
    assert unit is not None
    assert (unit.owner, unit.reporter) == (WHO["A"], WHO["E"])
    assert banker(rows) == WHO["B"]
    assert connection_at(rows, WHO["U"], WHO["A"]) is not None
    assert connection_at(rows, WHO["U"], WHO["B"]) is not None


def test_who_has_energy_opens_a_session_and_sells(street: Street) -> None:
    people = street.begun()
    street.does("E", "energy.produced", unit="U", member="B", energy="15 kWh")

    street.run(people, 4)

    rows = street.node.core.ledger.rows
    assert sessions_at(rows, WHO["U"], WHO["B"])
    assert [one.owner for one in side_of_book(rows, "buy")] == [WHO["B"]]  # from before it had any


def test_a_process_that_is_killed_does_not_do_again_what_is_under_way(street: Street) -> None:
    people = street.begun()
    issued_before = total(street.node.core.ledger.rows, Token.EEURO)
    spend = 100_000_000 - LOW_UEUR + 1
    people_issued = street.run(people, 1)
    street.does("A", "transfer.eeuro", to="V", amount=f"{spend / 1_000_000} EUR")

    assert street.people().round() >= 1  # the banker issues for A …
    assert street.people().round() == 0  # … and after a kill knows that it did
    street.node.confirm()

    rows = street.node.core.ledger.rows
    assert people_issued == 0
    assert total(rows, Token.EEURO) == issued_before + PAID_IN_UEUR
    assert balance(rows, Token.EEURO, WHO["A"]) == LOW_UEUR - 1 + PAID_IN_UEUR


def test_what_was_lost_on_its_way_is_done_again_under_its_number(street: Street) -> None:
    people = street.people()
    for door in street.doors:
        door.loses_posts = True
    assert people.round() == 0
    for door in street.doors:
        door.loses_posts = False
    tried = street.doors[0].posts

    street.run(street.people(), LOST_AFTER)
    rows = street.node.core.ledger.rows
    assert sequence_window(rows, WHO["V"]).next == 0  # it may still be on its way
    street.run(street.people(), 2)

    assert tried == 1
    window = sequence_window(street.node.core.ledger.rows, WHO["V"])
    assert window.next >= 1
    assert window.used == b""


def test_another_node_serves_while_the_own_one_is_away(street: Street) -> None:
    people = street.people()
    street.doors[0].is_away = True

    with pytest.raises(CommandError) as caught:
        people.round()
    acts = street.run(people, 2)

    assert caught.value.failure.exit_code is ExitCode.NOT_RUNNING
    assert acts > 0
    assert street.doors[1].posts == acts


def test_a_node_that_is_busy_is_left_alone_for_a_while(street: Street) -> None:
    people = street.people()
    for door in street.doors:
        door.refuses_posts = True

    for _ in range(9):
        people.round()

    posts = sum(door.posts for door in street.doors)
    assert posts == 3  # in rounds 1, 4 and 9: it rests for two rounds, then for four
    assert people.in_flight.issued == ()


def test_who_is_refused_by_the_ledger_rests(street: Street) -> None:
    people = street.begun()
    note = people.in_flight
    rows = street.node.core.ledger.rows
    street.node._next["B"] = sequence_window(rows, WHO["B"]).next
    tx_id = street.node.offers("B", "transfer.ent", to="A", amount="5 ENT")
    note.add(Issued("B0", tx_id, 7, street.node.core.confirmed_index))
    street.node.confirm()

    people.round()

    assert note.is_free("B0")
    assert people._patience["B0"].rounds > 0


def test_people_see_over_http_what_the_rows_say(street: Street) -> None:
    people = street.begun()
    street.does("E", "energy.produced", unit="U", member="B", energy="15 kWh")
    street.run(people, 3)
    change = {"name": "C", "value": "0.04"}
    street.does("V", "governance.vote", act="set_parameter", arguments=change)
    door = street.doors[0]
    members = [WHO["A"], WHO["B"]]

    seen = sight_of(
        WHO["U"],
        door.answer("energy", EnergyJson),
        door.answer("market/depth?levels=1", DepthJson),
        door.answer("votes", VotesJson),
        {WHO[name]: door.answer(f"members/{TEXT[name]}", MemberJson) for name in ("A", "B")},
    )

    assert seen == see(street.node.core.ledger.rows, WHO["U"], members)


def test_what_is_under_way_is_kept_for_its_own_network_only(tmp_path: Path) -> None:
    file, issued = tmp_path / "in-flight.json", Issued("A", "ab" * 32, 3, 7)
    InFlight(file, "one").add(issued)

    assert InFlight(file, "one").issued == (issued,)
    assert InFlight(file, "two").issued == ()
    assert not InFlight(file, "one").is_free("A")
    assert InFlight(file, "one").is_free("B")
