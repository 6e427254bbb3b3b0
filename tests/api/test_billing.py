"""From a meter's readings to a bill that is paid, and computed anew by who paid it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.commands.bill_main import app as bills
from api.http.app import create_app
from api.settings.genesis_file import genesis_text
from api.settings.wallet_file import create_wallet, read_wallet_words
from edge.ground.key_file import PASSPHRASE_VARIABLE, Cost, write_key_file
from tangle.address import encode_address
from tangle.keys import SigningKey
from tangle.seeds import wallet_key
from tests.api.billed_home import FEED_IN_WH, GRID_WH, ISSUER, BilledHome
from tests.api.test_server import served
from tests.edge.settling_home import whose
from tests.tangle.cores import GENESIS

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

    @property
    def customer(self) -> str:
        return encode_address(whose(self.home.customer))

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
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    passphrase = tmp_path / "passphrase"
    passphrase.write_bytes(PASSPHRASE)
    passphrase.chmod(0o600)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, str(passphrase))
    wallet = tmp_path / "my.wallet"
    create_wallet(wallet, bytes(32), PASSPHRASE, Cost(1, 64))
    home = BilledHome(tmp_path / "node", wallet_key(read_wallet_words(wallet, PASSPHRASE)))
    home.live()
    yield Desk(tmp_path, home, wallet)
    home.journal.close()


def test_a_bill_from_settlement_is_computed_anew_by_its_customer(desk: Desk) -> None:
    issued = desk.issue("--json", *MONTH)
    assert issued.exit_code == 0, issued.output
    verified = desk.verify()

    lines = {one["kind"]: one["quantity"] for one in json.loads(issued.stdout)["lines"]}
    assert (lines["grid"], lines["feed_in"]) == (GRID_WH, FEED_IN_WH)
    assert lines["from_storage"] == 2 * 26 * 30
    assert verified.exit_code == 0, verified.output
    assert "193 readings signed by it, 193 proven" in verified.stdout
