"""From a meter's readings to a bill that is paid, and computed anew by who paid it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from api.commands.audit_main import audit
from api.commands.bill_main import app as bills
from api.exit_codes import ExitCode
from api.http.app import create_app
from api.settings.genesis_file import genesis_text
from api.settings.wallet_file import create_wallet, read_wallet_words
from api.terminal.options import add_command, typer_app
from edge.ground.key_file import PASSPHRASE_VARIABLE, Cost, write_key_file
from edge.journal.journal import PRUNED_THROUGH
from energy.bills.as_json import bill_file
from energy.bills.contract import Issue, Pay, bill_operation
from energy.bills.documents import Parties, bill_digest, final_bill, preview
from energy.bills.files import sums_csv
from energy.bills.sums import DaySum
from energy.bills.tariffs import Tariff
from energy.units import DAY_MS
from tangle.address import encode_address
from tangle.genesis import network_id
from tangle.keys import SigningKey
from tangle.seeds import wallet_key
from tests.api.billed_home import (
    AFTER_MS,
    DAYS,
    FEED_IN_WH,
    GRID_WH,
    ISSUER,
    METER,
    TARIFF,
    BilledHome,
)
from tests.api.test_server import served
from tests.edge.settling_home import UNIT_ADDRESS, whose
from tests.tangle.cores import EDGE, GENESIS

PASSPHRASE = b"nine words that nobody guesses"
MONTH = ("--first-day", "2023-11-15", "--last-day", "2023-11-16")


class Desk:
    """Runs commands against the door of a home's node, whose milestones go on meanwhile."""

    def __init__(self, folder: Path, home: BilledHome, wallet: Path) -> None:
        self.folder = folder
        self.home = home
        self.wallet = wallet
        self.key_file = folder / "issuer.key"
        write_key_file(self.key_file, ISSUER, PASSPHRASE, Cost(1, 64))
        (folder / "genesis.json").write_text(genesis_text(GENESIS), "utf-8")
        self.issuers: tuple[SigningKey, ...] = (ISSUER,)

    def run(self, *arguments: str | Path) -> Result:
        """Return what a command of `bill` did."""
        results: list[Result] = []

        def command(host: str) -> Result:
            words = [str(one) for one in arguments]
            where = ["--data-dir", str(self.folder), "--node", f"http://{host}"]
            return CliRunner().invoke(bills, [*words, *where])

        async def act(host: str) -> None:
            results.append(await asyncio.to_thread(command, host))

        asyncio.run(self._beside(act))
        return results[0]

    def issue(self, *arguments: str | Path, out: str = "bill.json") -> Result:
        """Issue the bill of the two days."""
        return self.run(
            "issue", "--key-file", self.key_file, "--customer", self.customer,
            "--out", self.folder / out, *(arguments or MONTH),
        )  # fmt: skip

    def verify(self, *arguments: str | Path, file: str = "bill.json") -> Result:
        """Compute it anew as its customer."""
        return self.run("verify", self.folder / file, "--wallet", self.wallet, *arguments)

    def audit(self, *arguments: str | Path) -> Result:
        """Audit the journal of the home's node."""
        single = typer_app()
        add_command(single, "audit", audit)
        words = ["--config", str(self._config()), *(str(one) for one in arguments)]
        issued = self.folder / "issued"
        issued.mkdir(exist_ok=True)
        for file in self.folder.glob("bill*.json"):
            (issued / file.name).write_bytes(file.read_bytes())
        return CliRunner().invoke(single, words)

    def _config(self) -> Path:
        write_key_file(self.folder / "edge.key", EDGE, PASSPHRASE, Cost(1, 64))
        file = self.folder / "node.toml"
        file.write_text(
            '[node]\nname = "home"\ndata_dir = "node"\ngenesis_file = "genesis.json"\n'
            'key_file = "edge.key"\npassphrase_file = "passphrase"\n',
            "utf-8",
        )
        return file

    @property
    def customer(self) -> str:
        return encode_address(whose(self.home.customer))

    def document(self, sums: list[DaySum], tariff: Tariff = TARIFF) -> None:
        """Have the issuer put a bill on the ledger that says what it likes."""
        parties = Parties(network_id(GENESIS), whose(ISSUER), whose(self.home.customer))
        made = preview(parties, sums, [tariff], DAYS)
        bill = final_bill(made, 1, AFTER_MS, bytes(32))
        self.home.act(ISSUER, bill_operation(Issue(1, (bill_digest(bill),))))
        (self.folder / "bill.json").write_bytes(bill_file(bill))

    async def _beside(self, act: Callable[[str], Awaitable[None]]) -> None:
        door = create_app(self.home.api(*self.issuers))
        async with asyncio.timeout(60), served(door) as host, asyncio.TaskGroup() as group:
            confirming = group.create_task(self._confirm())
            await act(host)
            confirming.cancel()

    async def _confirm(self) -> None:
        while True:
            self.home.confirm()
            await asyncio.sleep(0.05)


@pytest.fixture
def founded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    passphrase = tmp_path / "passphrase"
    passphrase.write_bytes(PASSPHRASE)
    passphrase.chmod(0o600)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, str(passphrase))
    wallet = tmp_path / "my.wallet"
    create_wallet(wallet, bytes(32), PASSPHRASE, Cost(1, 64))
    home = BilledHome(tmp_path / "node", wallet_key(read_wallet_words(wallet, PASSPHRASE)))
    yield Desk(tmp_path, home, wallet)
    home.journal.close()


@pytest.fixture
def desk(founded: Desk) -> Desk:
    founded.home.live()
    return founded


def right_sums() -> list[DaySum]:
    """Return what the two days come to."""
    return [
        DaySum(day, "storage", 780, 0, GRID_WH // 2, 1_800, FEED_IN_WH // 2) for day in DAYS.days
    ]


def altered(at: int, **changes: int) -> list[DaySum]:
    sums = right_sums()
    sums[at] = msgspec.structs.replace(sums[at], **changes)
    return sums


def test_a_bill_from_settlement_is_computed_anew_by_its_customer(desk: Desk) -> None:
    issued = desk.issue("--json", *MONTH)
    assert issued.exit_code == 0, issued.output
    verified = desk.verify()

    lines = {one["kind"]: one["quantity"] for one in json.loads(issued.stdout)["lines"]}
    assert (lines["grid"], lines["feed_in"]) == (GRID_WH, FEED_IN_WH)
    assert lines["from_storage"] == 2 * 26 * 30
    assert verified.exit_code == 0, verified.output
    assert "193 readings signed by it, 193 proven" in verified.stdout


def test_what_the_days_come_to_is_known(desk: Desk) -> None:
    desk.document(right_sums())

    verified = desk.verify("--json")

    assert verified.exit_code == 0, verified.output
    found = json.loads(verified.stdout)
    assert (found["holds"], found["computed"]) == (True, True)
    assert any("reports: 4, 4 proven to be applied" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("sums", "tariff", "why"),
    [
        pytest.param(
            altered(1, from_grid_wh=GRID_WH // 2 + 1),
            TARIFF,
            f"grid, quantity billed {GRID_WH + 1}, computed {GRID_WH}",
            id="one watt-hour more",
        ),
        pytest.param(
            altered(0, feed_in_wh=FEED_IN_WH // 2 - 1),
            TARIFF,
            f"feed_in, quantity billed {FEED_IN_WH - 1}, computed {FEED_IN_WH}",
            id="one watt-hour less",
        ),
        pytest.param(
            altered(0, from_storage_wh=779),
            TARIFF,
            "from_storage, quantity billed 1559, computed 1560",
            id="one watt-hour of the storage",
        ),
        pytest.param(
            altered(1, from_storage_wh=0, from_grid_wh=0, charged_wh=0, feed_in_wh=0),
            TARIFF,
            "from_storage, quantity billed 780, computed 1560",
            id="one day",
        ),
        pytest.param(
            right_sums(),
            msgspec.structs.replace(TARIFF, residual_ueur=TARIFF.residual_ueur + 1),
            "grid, price billed 300001, computed 300000",
            id="one price",
        ),
        pytest.param(
            right_sums(),
            msgspec.structs.replace(TARIFF, rental_ueur=TARIFF.rental_ueur + 31),
            "rental, price billed 600031, computed 600000",
            id="one fee",
        ),
        pytest.param(
            right_sums(),
            msgspec.structs.replace(TARIFF, tax_ppm=TARIFF.tax_ppm + 1),
            "tax, price billed 190001, computed 190000",
            id="one tax rate",
        ),
    ],
)
def test_a_wrong_bill_is_found(desk: Desk, sums: list[DaySum], tariff: Tariff, why: str) -> None:
    desk.document(sums, tariff)

    verified = desk.verify()

    assert verified.exit_code == ExitCode.REFUSED
    assert why in " ".join(verified.stderr.split())
    assert "settlement and the registers agree on every day" in " ".join(verified.stderr.split())


def test_a_bill_is_computed_anew_after_all_transactions_were_pruned(desk: Desk) -> None:
    desk.document(right_sums())
    desk.home.keep_proofs()
    through = desk.home.core.confirmed_index - 1
    desk.home.journal.set_counter(PRUNED_THROUGH, through)
    while desk.home.journal.prune(through, 100):
        pass

    verified = desk.verify()

    assert verified.exit_code == 0, verified.output
    assert "193 readings signed by it, 193 proven" in verified.stdout
    assert "reports: 4, 4 proven" in verified.stdout


def test_what_cannot_be_proven_is_said_and_still_counts(desk: Desk) -> None:
    desk.document(right_sums())
    desk.home.keep_proofs()
    for name, _ in desk.home.journal.kept.notes("proof/", "proof0"):
        desk.home.forget_proof(name)
    through = desk.home.core.confirmed_index - 1
    desk.home.journal.set_counter(PRUNED_THROUGH, through)
    while desk.home.journal.prune(through, 100):
        pass

    verified = desk.verify()

    assert verified.exit_code == 0, verified.output
    assert "193 readings signed by it, 0 proven" in verified.stdout
    assert "not proven: readings 0 to" in verified.stdout
    assert "reports: 4, 0 proven" in verified.stdout


def test_another_ones_bill_is_not_computed(desk: Desk, tmp_path: Path) -> None:
    desk.document(right_sums())
    other = tmp_path / "other.wallet"
    create_wallet(other, bytes([1]) * 32, PASSPHRASE, Cost(1, 64))

    verified = desk.run("verify", tmp_path / "bill.json", "--wallet", other)

    assert verified.exit_code == ExitCode.USAGE
    assert "is not of" in verified.stderr


def test_only_issuers_that_the_node_names_are_told(desk: Desk) -> None:
    desk.issuers = ()

    refused = desk.issue()

    assert refused.exit_code == ExitCode.REFUSED
    assert "only whose they are, and issuers that the node names" in " ".join(
        refused.stderr.split()
    )
    assert not (desk.folder / "bill.json").exists()


@pytest.mark.parametrize(
    "more",
    [pytest.param((), id="settled"), pytest.param(("--sums", "sums.csv"), id="a file")],
)
def test_a_day_that_is_not_over_is_not_billed(
    desk: Desk, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    days = [*right_sums(), DaySum(DAYS.after_day, "grid"), DaySum(DAYS.after_day + 1, "grid")]
    (desk.folder / "sums.csv").write_text(sums_csv(days), "utf-8")

    refused = desk.issue("--first-day", "2023-11-15", "--last-day", "2023-11-18", *more)
    shown = desk.run(
        "preview", "--key-file", desk.key_file, "--customer", desk.customer,
        "--first-day", "2023-11-15", "--last-day", "2023-11-18", "--json",
    )  # fmt: skip

    assert refused.exit_code == ExitCode.FAILED
    assert "2023-11-17 is not over" in refused.stderr
    assert json.loads(shown.stdout)["missing_days"] == ["2023-11-17", "2023-11-18"]


def test_a_day_that_is_not_settled_is_not_billed(desk: Desk) -> None:
    desk.home.confirm(AFTER_MS + DAY_MS + 1_000)

    refused = desk.issue("--first-day", "2023-11-15", "--last-day", "2023-11-17")

    assert refused.exit_code == ExitCode.FAILED
    assert "2023-11-17 is not settled yet" in refused.stderr


def test_readings_become_a_bill_that_is_paid_and_all_of_it_adds_up(desk: Desk) -> None:
    issued = desk.issue("--json", *MONTH)
    total = json.loads(issued.stdout)["total_ueur"]
    desk.home.act(desk.home.customer, bill_operation(Pay(whose(ISSUER), 1, 500_000)))
    verified = desk.verify("--json")

    audited = desk.audit("--bills", desk.folder / "issued", "--json")

    assert issued.exit_code == verified.exit_code == 0, issued.output + verified.output
    assert json.loads(verified.stdout)["paid_ueur"] == 500_000
    assert audited.exit_code == 0, audited.output
    found = {one["name"]: one for one in json.loads(audited.stdout)["equations"]}
    assert (found["unit.charge"]["left"], found["unit.discharge"]["left"]) == (3_600, 1_560)
    assert (found["home.drawn"]["left"], found["home.charged"]["left"]) == (1_560, 3_600)
    home = found["home.energy"]
    assert (home["left"], home["right"]) == (GRID_WH + 1_560, GRID_WH + 1_560)
    assert (found["bill.paid"]["left"], found["bill.money"]["left"]) == (500_000, total)


def test_settlement_that_departs_from_the_ledger_is_found(desk: Desk) -> None:
    settled = desk.home.journal.settled(EDGE)
    (*_, last) = settled.shared(0, 2**50)
    (day,) = last.members
    wrong = msgspec.structs.replace(day, session_wh=day.session_wh + 1)
    state = settled.unit(UNIT_ADDRESS)
    assert state is not None
    settled.put_unit(state, whose(EDGE), msgspec.structs.replace(last, members=(wrong,)))

    audited = desk.audit("--json")

    assert audited.exit_code == ExitCode.REFUSED
    equations = json.loads(audited.stdout.splitlines()[0])["equations"]
    broken = {one["name"] for one in equations if one["verdict"] == "broken"}
    assert broken == {"home.drawn", "home.energy"}


def test_sealed_settlements_are_not_known_without_their_key(desk: Desk) -> None:
    audited = desk.audit("--key-file", desk.key_file)

    assert audited.exit_code == ExitCode.FAILED
    assert "? home.energy" in audited.stdout
    assert "does not open with this node's key" in audited.stdout


def test_a_period_is_audited_by_its_own_reports(desk: Desk) -> None:
    audited = desk.audit("--first-day", "2023-11-16", "--last-day", "2023-11-16", "--json")

    found = {one["name"]: one for one in json.loads(audited.stdout)["equations"]}
    assert (found["unit.charge"]["verdict"], found["unit.charge"]["left"]) == ("holds", 1_800)
    assert (found["home.energy"]["verdict"], found["home.energy"]["left"]) == ("holds", 3_300)


def test_energy_accounts_are_billed_and_computed_anew(founded: Desk) -> None:
    founded.home.live_on_accounts()

    issued = founded.issue("--json", *MONTH)
    verified = founded.verify()
    audited = founded.audit()

    assert issued.exit_code == 0, issued.output
    lines = {one["kind"]: one["quantity"] for one in json.loads(issued.stdout)["lines"]}
    assert (lines["from_ctt"], lines["grid"]) == (2_000 + 400, 2 * 3_300 - 2_400)
    assert lines["feed_in"] == 2 * 2_400 - 3_000
    assert verified.exit_code == 0, verified.output
    assert "reports: 4, 4 proven" in verified.stdout
    assert audited.exit_code == 0, audited.output


def test_what_came_late_is_computed_as_it_was_settled(founded: Desk) -> None:
    founded.home.live_with_late_readings()

    issued = founded.issue("--json", *MONTH)
    verified = founded.verify()

    assert issued.exit_code == 0, issued.output
    lines = {one["kind"]: one["quantity"] for one in json.loads(issued.stdout)["lines"]}
    first_day_wh = 40 * 50 + 26 * 20
    assert lines["grid"] == first_day_wh + 40 * 50, "the second evening is not settled yet"
    assert verified.exit_code == 0, verified.output
    assert "193 readings signed by it, 193 proven" in verified.stdout
    assert "came late and were counted after" in verified.stdout


def test_a_day_whose_reports_are_not_applied_is_not_billed(founded: Desk) -> None:
    founded.home.found_days()
    founded.home.measure()
    founded.home.settle_days(is_reported=False)

    refused = founded.issue()
    founded.home.settle_days()
    issued = founded.issue()

    assert refused.exit_code == ExitCode.FAILED
    assert "2023-11-16 is not settled yet" in refused.stderr
    assert issued.exit_code == 0, issued.output


def test_days_are_a_month_or_a_stretch(desk: Desk) -> None:
    neither = desk.issue("--first-day", "2023-11-15")
    both = desk.issue("--month", "2023-11", *MONTH)
    whole = desk.issue("--month", "2023-11")

    assert (neither.exit_code, both.exit_code) == (ExitCode.USAGE, ExitCode.USAGE)
    assert "2023-11-17 is not over" in whole.stderr


def test_readings_that_are_gone_compute_nothing(desk: Desk) -> None:
    desk.document(right_sums())
    desk.home.journal.leaving.forget({whose(METER): 50})

    verified = desk.verify()

    assert verified.exit_code == ExitCode.FAILED
    assert "ask before readings are erased" in verified.stderr
