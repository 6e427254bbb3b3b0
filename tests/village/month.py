"""A stretch of days of the community, lived through on a fake clock, billed and audited."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from typer import Typer
from typer.testing import CliRunner, Result

from api.bills.billing import settled_sums
from api.bills.files import read_bill
from api.bills.home_records import Records
from api.client.node_client import NodeClient
from api.commands.audit_main import audit
from api.commands.bill_main import app as bills
from api.http.app import create_app
from api.settings.genesis_file import genesis_text
from api.settings.wallet_file import create_wallet
from api.terminal.options import add_command, typer_app
from devices.sources.household import HouseholdProfile
from devices.sources.rows import Registers
from edge.ground.key_file import Cost, write_key_file
from energy.bank import Mint, bank_operation
from energy.bills.contract import Pay, Refund, SetTariff, bill_operation
from energy.bills.days import Stretch, day_starts, day_text, month_stretch
from energy.bills.documents import Bill
from energy.bills.sums import DaySum
from energy.bills.tariffs import Tariff
from energy.demo.charter import SETTLEMENT_PERIOD, missing_acts
from energy.demo.people import decide
from energy.demo.sight import Sight, see
from energy.powerchain.records import gap_of
from energy.settlement.slots import SLOT_MS
from energy.units import HOUR_MS, UEUR_PER_EUR
from tangle.accounts import Token, balance
from tangle.address import Address, encode_address
from tangle.genesis import network_id
from tests.api.test_server import served
from tests.village.community import (
    BANKER,
    CHARTER,
    CUSTOMERS,
    EDGE,
    MEMBERS,
    OPERATOR,
    PEOPLE,
    ROOFS,
    UNIT,
    WORDS,
    genesis_at,
    meters_at,
    whose,
)
from tests.village.node import VillageNode
from tests.village.street import Street

ZONE: Final = ZoneInfo("Europe/Berlin")
PERIOD_MS: Final = CHARTER.parameters[SETTLEMENT_PERIOD]
ROUND_MS: Final = HOUR_MS
"""As in `up`, where a round takes two seconds, and an hour of the ledger's clock no longer."""

FOUNDING_ROUNDS: Final = 8
PASSPHRASE: Final = b"the village has no secrets"
CHEAP: Final = Cost(1, 64)
CONFIRM_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Figures:
    """What the days came to, over all homes and the battery."""

    load_wh: int
    produced_wh: int
    from_battery_wh: int
    from_grid_wh: int
    charged_wh: int
    feed_in_wh: int
    billed_ueur: int
    moved_ueur: int

    @property
    def self_sufficiency_percent(self) -> int:
        """How much of what the homes used did not come from the grid."""
        return 100 - 100 * self.from_grid_wh // self.load_wh


class Month:
    """The community, from its founding on the day before the first to its audit."""

    def __init__(self, folder: Path, days: Stretch, profile: HouseholdProfile) -> None:
        self.folder, self.days = folder, days
        self.starts = day_starts(Stretch(days.first_day - 1, days.after_day), ZONE)
        self.genesis = genesis_at(self.starts[0])
        first, after = self.starts[1] // PERIOD_MS, -(-self.starts[-1] // PERIOD_MS)
        self.periods = range(first * PERIOD_MS, after * PERIOD_MS, PERIOD_MS)
        """When each begins: whole ones, in UTC, that the local days lie in."""

        meters = meters_at(profile, self.periods.start)
        (folder / "node").mkdir()
        self.node = VillageNode(
            folder / "node", self.genesis, ZONE, [(one.key, one.owner) for one in meters]
        )
        self.street = Street(network_id(self.genesis), meters)
        self.rng = Random(1)
        self.bills: dict[Address, Bill] = {}
        self.sums: dict[Address, list[DaySum]] = {}
        self.gaps_uent: list[int] = []
        """At the end of each period."""

        self._configure()

    # The days.

    async def live(self) -> None:
        """Found the community, live through all days, have them settled, billed and paid."""
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(self.node.metering.run())
            await self._found()
            for start_ms in self.periods:
                await self._period(start_ms)
                self.gaps_uent.append(gap_of(self.node.core.ledger.rows).gap_uent)
            serving.cancel()
        await self._beside(self._issue)
        await self._settle_bills()

    def see(self) -> Sight:
        """Return what people see."""
        return see(self.node.core.ledger.rows, UNIT, CUSTOMERS)

    async def _found(self) -> None:
        """Let people do what they do in `up`: vote, connect, name who reports."""
        node = self.node
        await node.enrol(len(self.street.meters))
        tariff = Tariff(
            self.days.first_day, 300_000, 80_000, 8 * UEUR_PER_EUR, UEUR_PER_EUR, 190_000
        )
        await node.act(OPERATOR, [bill_operation(SetTariff(tariff))])
        for _ in range(FOUNDING_ROUNDS):
            await self._act()
        assert _is_founded(self.see()), self.see()
        node.now_ms = self.periods.start - HOUR_MS
        await node.confirm()
        node.settle_from_now(frozenset(whose(one) for one in ROOFS.values()))
        await node.settle()

    async def _period(self, start_ms: int) -> None:
        """Live through a period: people act every hour, meters deliver at its end."""
        posted: list[tuple[Address, bytes]] = []
        for slot_ms in range(start_ms, start_ms + PERIOD_MS, SLOT_MS):
            self.node.now_ms = max(self.node.now_ms, slot_ms)
            if slot_ms % ROUND_MS == 0:
                await self._act()
            posted += self.street.slot()
        self.node.now_ms = max(self.node.now_ms, start_ms + PERIOD_MS)
        await self.node.deliver(posted)
        await self.node.settle()

    async def _act(self) -> None:
        """Let everybody look, decide and act, as one round of `up` does."""
        sight, now_ms = self.see(), self.node.now_ms
        for key, person in PEOPLE:
            await self.node.act(key, decide(person, sight, now_ms, self.rng))
        await self.node.confirm()

    # The bills.

    async def _issue(self, host: str) -> None:
        """Let the operator bill everybody by `bill issue`, from what the node states."""
        for at, customer in enumerate(sorted(CUSTOMERS), 1):
            file = self._bill_file(at)
            words = ["issue", "--customer", encode_address(customer), "--out", str(file)]
            words += self._which_days()
            result = await asyncio.to_thread(
                self.run, bills, *words, "--key-file", str(self.folder / "operator.key"),
                "--node", f"http://{host}",
            )  # fmt: skip
            assert result.exit_code == 0, result.output
            self.bills[customer] = read_bill(file)
            self.sums[customer] = await asyncio.to_thread(self._settled, customer, host)

    def _which_days(self) -> list[str]:
        first, last = day_text(self.days.first_day), day_text(self.days.after_day - 1)
        month, _, _ = first.rpartition("-")
        if self.days == month_stretch(month):
            return ["--month", month]
        return ["--first-day", first, "--last-day", last]

    def _settled(self, customer: Address, host: str) -> list[DaySum]:
        """Return what a bill is computed from, as the same node states it."""
        asked = Records(NodeClient(f"http://{host}"), OPERATOR, self.genesis)
        return settled_sums([asked], customer, self.days, is_final=True)

    async def _settle_bills(self) -> None:
        """Let everybody pay, and then the operator pay back: out of what was paid."""
        node, totals = self.node, {one: bill.content.total_ueur for one, bill in self.bills.items()}
        lacking = {one: total - self._held_ueur(one) for one, total in totals.items()}
        paid_in = [Mint(one, ueur) for one, ueur in lacking.items() if ueur > 0]
        await node.act(BANKER, [bank_operation(one) for one in paid_in])
        await node.confirm()
        for customer, bill in self.bills.items():
            if totals[customer] > 0:
                pay = Pay(whose(OPERATOR), bill.number, totals[customer])
                await node.act(CUSTOMERS[customer], [bill_operation(pay)])
        await node.confirm()
        for customer, bill in self.bills.items():
            if totals[customer] < 0:
                refund = Refund(bill.number, customer, -totals[customer])
                await node.act(OPERATOR, [bill_operation(refund)])
        await node.confirm()

    def _held_ueur(self, whom: Address) -> int:
        return balance(self.node.core.ledger.rows, Token.EEURO, whom)

    async def verify(self, member: int) -> Result:
        """Let a member compute its bill anew from own readings, by `bill verify`."""
        wallet = self.folder / f"member-{member}.wallet"
        create_wallet(wallet, WORDS[member], PASSPHRASE, CHEAP)
        number = self.bills[whose(MEMBERS[member])].number
        words = ["verify", str(self._bill_file(number)), "--wallet", str(wallet)]
        results: list[Result] = []

        async def act(host: str) -> None:
            url = f"http://{host}"
            results.append(await asyncio.to_thread(self.run, bills, *words, "--node", url))

        await self._beside(act)
        return results[0]

    async def _beside(self, act: Callable[[str], Awaitable[None]]) -> None:
        """Do something over HTTP while milestones go on."""
        self.node.keep_proofs()
        app = create_app(self.node.api(self.folder, whose(OPERATOR)))
        async with served(app) as host, asyncio.TaskGroup() as group:
            confirming = group.create_task(self._confirm())
            await act(host)
            confirming.cancel()

    async def _confirm(self) -> None:
        while True:
            if self.node.core.graph.tip_count:
                await self.node.confirm()
                self.node.keep_proofs()
            await asyncio.sleep(CONFIRM_S)

    def _bill_file(self, number: int) -> Path:
        return self.folder / "issued" / f"bill-{number}.json"

    # What it all came to.

    def energy(self) -> Registers:
        """Return what the battery's meter counted."""
        return self.street.positions[UNIT].registers

    def figures(self) -> Figures:
        """Return what it all came to; the money as the ledger's events say."""
        homes = [one for member in MEMBERS for one in self.sums[whose(member)]]
        return Figures(
            sum(one.load_wh or 0 for one in homes),
            sum(one.produced_wh or 0 for one in homes),
            sum(one.from_storage_wh for one in homes),
            sum(one.from_grid_wh for one in homes),
            sum(one.charged_wh for one in homes),
            sum(one.feed_in_wh for one in homes),
            sum(one.content.total_ueur for one in self.bills.values()),
            self.node.moved_ueur,
        )

    # The commands.

    def audit(self, *arguments: str) -> Result:
        """Run the real command over the journal, with all bills and the node's key."""
        single = typer_app()
        add_command(single, "audit", audit)
        words = ["--config", str(self.folder / "node.toml"), "--json"]
        words += ["--bills", str(self.folder / "issued")]
        return self.run(single, *words, *arguments)

    def run(self, app: Typer, *words: str) -> Result:
        """Run a command with the folder of the village."""
        passphrase = ["--passphrase-file", str(self.folder / "passphrase")]
        return CliRunner().invoke(app, [*words, *passphrase, "--data-dir", str(self.folder)])

    def _configure(self) -> None:
        """Write what commands read: genesis, keys, the configuration of the node."""
        (self.folder / "issued").mkdir()
        (self.folder / "genesis.json").write_text(genesis_text(self.genesis), "utf-8")
        for name, key in (("edge", EDGE), ("operator", OPERATOR)):
            write_key_file(self.folder / f"{name}.key", key, PASSPHRASE, CHEAP)
        passphrase = self.folder / "passphrase"
        passphrase.write_bytes(PASSPHRASE)
        passphrase.chmod(0o600)
        (self.folder / "node.toml").write_text(
            '[node]\nname = "village"\ndata_dir = "node"\ngenesis_file = "genesis.json"\n'
            'key_file = "edge.key"\npassphrase_file = "passphrase"\n',
            "utf-8",
        )


def _is_founded(sight: Sight) -> bool:
    """Return whether the charter holds, everybody is connected and the unit has its reporter."""
    return (
        not missing_acts(CHARTER, sight)
        and sight.unit is not None
        and sight.unit.reporter == whose(EDGE)
        and all(one.limit_uent is not None for one in sight.accounts.values())
    )


def equations(result: Result) -> dict[str, list[int]]:
    """Return the left sides of an audit's equations, by name."""
    found: dict[str, list[int]] = {}
    for one in json.loads(result.stdout)["equations"]:
        found.setdefault(one["name"], []).append(one["left"])
    return found
