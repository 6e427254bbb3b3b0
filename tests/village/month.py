"""A stretch of days in the village, lived through on a fake clock, billed and audited."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from typer.testing import CliRunner, Result

from api.commands.audit_main import audit
from api.settings.genesis_file import genesis_text
from api.terminal.options import add_command, typer_app
from devices.sources.household import HouseholdProfile
from edge.ground.key_file import Cost, write_key_file
from energy.bank import Mint, bank_operation
from energy.bills.as_json import bill_file
from energy.bills.contract import Issue, Pay, Refund, SetTariff, bill_operation
from energy.bills.days import Stretch, day_starts
from energy.bills.documents import Bill, Parties, bill_digest, final_bill, preview
from energy.bills.files import sums_csv
from energy.bills.rows import tariffs_of
from energy.bills.sums import DaySum
from energy.bills.tariffs import Tariff
from energy.governance.acts import Act, AddVoter, RegisterUnit, SetBanker, SetParameter, Vote
from energy.governance.contract import vote_operation
from energy.powerchain.calls import Connect, Delegate, energy_operation
from energy.powerchain.records import sessions_at
from energy.settlement.slots import SLOT_MS
from energy.units import HOUR_MS, UENT_PER_ENT, UEUR_PER_EUR
from tangle.accounts import Token, balance
from tangle.address import Address, address_of, encode_address
from tangle.genesis import Allocation, Genesis, network_id
from tangle.hashing import digest
from tangle.keys import SigningKey
from tests.community import VOTER, community, key, member_key
from tests.village import people
from tests.village.node import EDGE, VillageNode
from tests.village.street import CAPACITY_WH, EFFICIENCY_PPM, Street, homes_of

ZONE: Final = ZoneInfo("Europe/Berlin")
HOMES: Final = 10
MEMBERS: Final = tuple(member_key(number) for number in range(HOMES))
OWNER, BANKER, SUPPLIER = (member_key(HOMES + number) for number in range(3))
GRID: Final = tuple(key(4_000 + number) for number in range(HOMES))
ROOFS: Final = tuple(key(4_100 + number) for number in range(HOMES))
BATTERY: Final = key(4_200)
UNIT: Final = address_of(BATTERY.public)
SLOTS_PER_TURN: Final = 8
SLOTS_PER_DELIVERY: Final = 48
LIMIT_UENT: Final = 20 * UENT_PER_ENT
SESSION_MS: Final = 6 * HOUR_MS
START_UEUR: Final = 100 * UEUR_PER_EUR
PASSPHRASE: Final = b"the village has no secrets"


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


def whose(one: SigningKey) -> Address:
    return address_of(one.public)


class Month:
    """The village, from its founding on the day before the first to its audit."""

    def __init__(self, folder: Path, days: Stretch, profile: HouseholdProfile) -> None:
        self.folder, self.days = folder, days
        self.starts = day_starts(Stretch(days.first_day - 1, days.after_day), ZONE)
        self.genesis = _genesis(self.starts[0])
        meters = [
            *((meter, whose(member)) for meter, member in zip(GRID, MEMBERS, strict=True)),
            *((meter, whose(member)) for meter, member in zip(ROOFS, MEMBERS, strict=True)),
            (BATTERY, whose(OWNER)),
        ]
        (folder / "node").mkdir()
        self.node = VillageNode(folder / "node", self.genesis, ZONE, meters)
        network = network_id(self.genesis)
        homes = homes_of(profile, HOMES, self.starts[1])
        self.street = Street(network, homes, GRID, ROOFS, BATTERY)
        self.rng = Random(1)
        self.settled_sums: dict[Address, list[DaySum]] = {}
        self.bills: tuple[Bill, ...] = ()

    # The days.

    async def live(self) -> None:
        """Found the village, live through all days, and have the last one settled and reported."""
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(self.node.metering.run())
            await self._found()
            for start_ms, end_ms in zip(self.starts[1:-1], self.starts[2:], strict=True):
                await self._day(start_ms, end_ms)
            await self.node.settle()
            await self._bill()
            serving.cancel()

    async def _found(self) -> None:
        node = self.node
        await node.enrol(2 * HOMES + 1)
        tariff = Tariff(
            self.days.first_day, 300_000, 80_000, 8 * UEUR_PER_EUR, UEUR_PER_EUR, 190_000
        )
        await node.act(SUPPLIER, [bill_operation(SetTariff(tariff))])
        await self._decide((VOTER,), AddVoter(whose(OWNER)))
        await self._decide(
            (VOTER, OWNER),
            RegisterUnit(UNIT, whose(OWNER), CAPACITY_WH, EFFICIENCY_PPM),
            SetBanker(whose(BANKER)),
            SetParameter("H", SESSION_MS),
        )
        await node.act(BATTERY, [energy_operation(Delegate(whose(EDGE)))])
        for member in (*MEMBERS, OWNER):
            await node.act(member, [energy_operation(Connect(UNIT, whose(EDGE), LIMIT_UENT))])
        await node.confirm()
        node.now_ms = self.starts[1] - HOUR_MS
        await node.confirm()
        node.settle_from_now(UNIT, frozenset(whose(one) for one in ROOFS))
        await node.settle()

    async def _decide(self, voters: tuple[SigningKey, ...], *acts: Act) -> None:
        for voter in voters:
            await self.node.act(voter, [vote_operation(Vote(act, yes=True)) for act in acts])
            await self.node.confirm()

    async def _day(self, start_ms: int, end_ms: int) -> None:
        """Live through a day: people act every other hour, meters deliver at noon and midnight."""
        posted: list[tuple[Address, bytes]] = []
        for at, slot_ms in enumerate(range(start_ms, end_ms, SLOT_MS), 1):
            self.node.now_ms = max(self.node.now_ms, slot_ms)
            if at % SLOTS_PER_TURN == 1:
                await self._act()
            posted += self.street.slot(slot_ms)
            if at % SLOTS_PER_DELIVERY == 0 or slot_ms + SLOT_MS == end_ms:
                self.node.now_ms = max(self.node.now_ms, slot_ms + SLOT_MS)
                await self.node.deliver(posted)
                posted = []
        await self.node.settle()

    async def _act(self) -> None:
        rows = self.node.core.ledger.rows
        now_ms = self.node.now_ms
        for member in (*MEMBERS, OWNER):
            planned = people.household(rows, whose(member), UNIT, now_ms, self.rng)
            await self.node.act(member, list(planned))
        customers = tuple(whose(one) for one in (*MEMBERS, OWNER))
        await self.node.act(BANKER, list(people.banker(rows, customers)))
        await self.node.confirm()
        for number, member in enumerate(MEMBERS):
            held = sessions_at(rows, UNIT, whose(member))
            is_open = held and now_ms < held[-1].expires_at_ms
            session, energy_wh = (
                (held[-1].opened_at_ms, held[-1].energy_wh) if is_open else (None, 0)
            )
            self.street.hear(number, session, energy_wh)

    # The bills.

    def sums(self) -> dict[Address, list[DaySum]]:
        """Return the energy of each home and of the battery's owner, by local day."""
        settled = self.node.journal.settled(EDGE)
        span = (self.starts[1], self.starts[-1])
        metered = {
            (one.member, one.day): one
            for period in settled.periods(*span)
            for one in period.members
        }
        found: dict[Address, list[DaySum]] = {}
        for period in settled.shared(*span):
            for one in period.members:
                home = metered[one.member, one.day]
                drawn_wh = one.session_wh + one.over_wh
                found.setdefault(Address(one.member), []).append(
                    DaySum(
                        one.day,
                        "storage",
                        from_storage_wh=drawn_wh,
                        from_grid_wh=one.import_wh - drawn_wh,
                        charged_wh=one.charge_wh,
                        feed_in_wh=one.export_wh - one.charge_wh,
                        produced_wh=home.pv_wh,
                        load_wh=home.load_wh,
                    )
                )
            for unit in period.own:
                found.setdefault(whose(OWNER), []).append(
                    DaySum(
                        unit.day,
                        "grid",
                        from_grid_wh=unit.own_grid_wh,
                        feed_in_wh=unit.own_feed_in_wh,
                    )
                )
        return found

    async def _bill(self) -> None:
        """Let the supplier bill everybody, and everybody pay, or be paid."""
        node = self.node
        tariffs = tariffs_of(node.core.ledger.rows, whose(SUPPLIER))
        self.settled_sums = self.sums()
        self.bills = tuple(
            final_bill(
                preview(
                    Parties(network_id(self.genesis), whose(SUPPLIER), customer),
                    sums,
                    tariffs,
                    self.days,
                ),
                number,
                node.now_ms,
                digest(customer),
            )
            for number, (customer, sums) in enumerate(sorted(self.settled_sums.items()), 1)
        )
        digests = tuple(bill_digest(one) for one in self.bills)
        await node.act(SUPPLIER, [bill_operation(Issue(1, digests))])
        await node.act(BANKER, [bank_operation(one) for one in self._paid_in()])
        await node.confirm()
        keys = {whose(one): one for one in (*MEMBERS, OWNER)}
        for bill in self.bills:
            customer, total_ueur = Address(bill.content.parties.customer), bill.content.total_ueur
            if total_ueur > 0:
                pay = bill_operation(Pay(whose(SUPPLIER), bill.number, total_ueur))
                await node.act(keys[customer], [pay])
            elif total_ueur < 0:
                refund = bill_operation(Refund(bill.number, customer, -total_ueur))
                await node.act(SUPPLIER, [refund])
        await node.confirm()

    def _paid_in(self) -> Iterator[Mint]:
        """Yield what the banker issues to those who pay in so that they can pay their bill."""
        for bill in self.bills:
            customer = Address(bill.content.parties.customer)
            held_ueur = balance(self.node.core.ledger.rows, Token.EEURO, customer)
            if held_ueur < bill.content.total_ueur:
                yield Mint(customer, bill.content.total_ueur - held_ueur)

    def figures(self) -> Figures:
        """Return what it all came to; the money as the ledger's events say."""
        homes = [
            one
            for customer, sums in self.settled_sums.items()
            if customer != whose(OWNER)
            for one in sums
        ]
        return Figures(
            sum(one.load_wh or 0 for one in homes),
            sum(one.produced_wh or 0 for one in homes),
            sum(one.from_storage_wh for one in homes),
            sum(one.from_grid_wh for one in homes),
            sum(one.charged_wh for one in homes),
            sum(one.feed_in_wh for one in homes),
            sum(one.content.total_ueur for one in self.bills),
            self.node.moved_ueur,
        )

    # The audit.

    def audit(self, sums_of: Mapping[Address, Sequence[DaySum]]) -> Result:
        """Run the real command over the journal, with all bills and the sums of homes."""
        issued = self.folder / "issued"
        issued.mkdir(exist_ok=True)
        for bill in self.bills:
            (issued / f"bill-{bill.number}.json").write_bytes(bill_file(bill))
        file = self.folder / "node.toml"
        if not file.exists():
            self._configure(file)
        words = ["--config", str(file), "--bills", str(issued), "--json"]
        for customer, sums in sums_of.items():
            if customer != whose(OWNER):
                file = self.folder / f"{customer.hex()}.csv"
                file.write_text(sums_csv(sums), "utf-8")
                words += ["--sums", f"{encode_address(customer)}={file}"]
        single = typer_app()
        add_command(single, "audit", audit)
        return CliRunner().invoke(single, [*words, "--data-dir", str(self.folder)])

    def _configure(self, file: Path) -> None:
        """Write the configuration of the node, as whoever audits it finds it."""
        (self.folder / "genesis.json").write_text(genesis_text(self.genesis), "utf-8")
        write_key_file(self.folder / "edge.key", EDGE, PASSPHRASE, Cost(1, 64))
        passphrase = self.folder / "passphrase"
        passphrase.write_bytes(PASSPHRASE)
        passphrase.chmod(0o600)
        file.write_text(
            '[node]\nname = "village"\ndata_dir = "node"\ngenesis_file = "genesis.json"\n'
            'key_file = "edge.key"\npassphrase_file = "passphrase"\n',
            "utf-8",
        )


def _genesis(start_ms: int) -> Genesis:
    """Return a community whose members hold some money, and nobody any energy."""
    made = community(edges=1, members=HOMES + 3)
    held = [Allocation(one.address, START_UEUR) for one in made.allocations]
    return msgspec.structs.replace(
        made, created_at_ms=start_ms, ledger_start_ms=start_ms, allocations=tuple(held)
    )
