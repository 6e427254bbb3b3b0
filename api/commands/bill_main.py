"""The commands `bill preview`, `issue`, `show`, `verify`, `credit`: a process of their own.

`python -m api.commands.bill_main`: what draws PDF must not slow the other commands down.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, assert_never
from zoneinfo import ZoneInfo

import typer

from api.bills.book import Book, issue_document
from api.bills.files import read_bill, read_text, write_new
from api.bills.pdf import sheet_pdf
from api.bills.recomputing import recompute, verify_bill
from api.client.issuing import Issuer
from api.client.node_client import NotTakenError
from api.commands.access_files import (
    Home,
    NodeUrl,
    PassphraseFile,
    WalletFileOption,
    key_issuer,
    network_of,
    node_client,
    wallet_issuer,
    wallet_path,
)
from api.commands.bill_sources import (
    Places,
    bad_argument,
    days_of,
    records_of,
    settled_for,
    sums_of_file,
    zone_named,
)
from api.commands.operation_commands import AddressBook, KeyFile
from api.commands.wallet_commands import DEFAULT_WAIT_S, WaitSeconds
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.settings.layout import Layout
from api.terminal.options import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    add_command,
    ending,
    layout_of,
    typer_app,
)
from api.terminal.talk import put, put_json, say
from energy.bills.as_json import bill_document, bill_file, preview_document
from energy.bills.as_text import sheet_csv, sheet_html
from energy.bills.documents import (
    Bill,
    Parties,
    credit_note,
    final_bill,
    first_difference,
    issuer_of,
    period_of,
    preview,
)
from energy.bills.files import parse_sums, parse_tariffs
from energy.bills.sheet import Sheet, bill_sheet, preview_sheet
from energy.bills.tariffs import Tariff
from tangle.address import Address, address_of, encode_address
from tangle.errors import InvalidProofError
from tangle.hashing import HASH_SIZE
from tangle.keys import SigningKey

app = typer_app("Bills: previewed, issued, shown, verified, taken back.")

Paper = Literal["text", "html", "csv", "pdf"]
BillFile = Annotated[Path, typer.Argument(metavar="FILE", help="What `bill issue` wrote.")]
NewFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="[default: stdout]")]
SumsFile = Annotated[
    Path | None,
    typer.Option(
        "--sums",
        metavar="FILE",
        help="CSV: energy by local day and regime. [default: as settled by the customer's nodes]",
    ),
]
OwnSums = Annotated[
    Path | None, typer.Option("--sums", metavar="FILE", help="Your own sums, to compute it anew.")
]
TariffFile = Annotated[
    Path | None, typer.Option("--tariffs", metavar="FILE", help="TOML. [default: of the ledger]")
]
IssuerText = Annotated[
    str | None, typer.Option("--issuer", metavar="ADDRESS", help="Address or home.")
]
Customer = Annotated[str, typer.Option("--customer", metavar="ADDRESS", help="Address or home.")]
FirstDay = Annotated[str | None, typer.Option("--first-day", metavar="YYYY-MM-DD")]
LastDay = Annotated[str | None, typer.Option("--last-day", metavar="YYYY-MM-DD", help="Included.")]
Month = Annotated[
    str | None, typer.Option("--month", metavar="YYYY-MM", help="Or --first-day and --last-day.")
]
HomeNodes = Annotated[
    list[str] | None,
    typer.Option(
        "--home-node",
        metavar="URL",
        help="A node that has the readings, or settles; repeat. [default: --node, or all edges]",
    ),
]
ZoneName = Annotated[
    str | None,
    typer.Option("--zone", help="Whose days: Europe/Athens. [default: as the nodes settle]"),
]
GenesisFile = Annotated[
    Path | None, typer.Option("--genesis", metavar="FILE", help="[default: of --data-dir]")
]
As = Annotated[Paper, typer.Option("--as", help="text, html, csv or pdf.")]


def preview_command(  # noqa: PLR0913 — to Typer each option is an argument
    *,
    customer: Customer,
    issuer: IssuerText = None,
    month: Month = None,
    first_day: FirstDay = None,
    last_day: LastDay = None,
    sums: SumsFile = None,
    tariffs: TariffFile = None,
    paper: As = "text",
    out: Out = None,
    home: Home = None,
    wallet: WalletFileOption = None,
    key_file: KeyFile = None,
    home_node: HomeNodes = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what a bill would say. Of days without sums it says that nothing is known.

    With --sums, --issuer is enough; else the issuer's wallet or key asks the nodes that settle.

    Examples:
      tanglewatt bill preview --wallet issuer.wallet --customer home_01 --month 2026-11
      tanglewatt bill preview --issuer tw1… --customer home_01 --month 2026-11 --sums november.csv
    """
    with ending(as_json=as_json):
        layout, period = layout_of(data_dir), days_of(month, first_day, last_day)
        book, names = Book(node_client(layout, node)), AddressBook(layout)
        whose = names[customer]
        if sums is not None and issuer is not None:
            found, by = parse_sums(read_text(sums)), names[issuer]
        else:
            key = _signer(layout, (home, wallet, key_file), passphrase_file).key
            places, by = Places(layout, node, tuple(home_node or ())), address_of(key.public)
            found = (
                parse_sums(read_text(sums))
                if sums is not None
                else settled_for(places, key, whose, period, is_final=False)
            )
        parties = Parties(book.network(), by, whose)
        made = preview(parties, found, _tariffs(book, by, tariffs), period)
        if as_json:
            put_json(preview_document(made))
        else:
            _hand_out(preview_sheet(made), paper, out)


def issue(  # noqa: PLR0913 — to Typer each option is an argument
    *,
    customer: Customer,
    out: NewFile,
    month: Month = None,
    first_day: FirstDay = None,
    last_day: LastDay = None,
    sums: SumsFile = None,
    zone: ZoneName = None,
    home: Home = None,
    wallet: WalletFileOption = None,
    key_file: KeyFile = None,
    home_node: HomeNodes = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    passphrase_file: PassphraseFile = None,
    wait_s: WaitSeconds = DEFAULT_WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Make a final bill: the next number, its digest on the ledger, its file here.

    The days must be over, and settled: sums come from the nodes that settle the customer, if no
    file is named. It returns when the ledger has applied it. Keep the file: nothing else says what
    was billed.

    Examples:
      tanglewatt bill issue --wallet issuer.wallet --customer home_01 --month 2026-11
        --out bill.json
    """
    with ending(as_json=as_json):
        layout, period = layout_of(data_dir), days_of(month, first_day, last_day)
        book = Book(node_client(layout, node))
        signer = _signer(layout, (home, wallet, key_file), passphrase_file)
        issuer = address_of(signer.key.public)
        whose = AddressBook(layout)[customer]
        if sums is not None:
            named = zone_named(layout, zone)
            found = sums_of_file(sums, period, named, book.client.info().confirmed_at_ms)
        else:
            places = Places(layout, node, tuple(home_node or ()))
            found = settled_for(places, signer.key, whose, period, is_final=True)
        parties = Parties(book.network(), issuer, whose)
        made = preview(parties, found, book.tariffs(issuer), period)
        number = book.last_number(issuer) + 1
        bill = final_bill(made, number, book.ledger_time_ms(), os.urandom(HASH_SIZE))
        _issue(book, signer, bill, out, _expected(layout, node), wait_s)
        _say_issued(bill, out, as_json=as_json)


def show(*, file: BillFile, paper: As = "text", out: Out = None, as_json: AsJson = False) -> None:
    """Show a document: as text, a page, a table or paper.

    Examples:
      tanglewatt bill show bill.json
      tanglewatt bill show bill.json --as pdf --out bill.pdf
    """
    with ending(as_json=as_json):
        bill = read_bill(file)
        if as_json:
            put_json(bill_document(bill))
        else:
            _hand_out(bill_sheet(bill), paper, out)


def verify(  # noqa: PLR0913 — to Typer each option is an argument
    *,
    file: BillFile,
    sums: OwnSums = None,
    home: Home = None,
    wallet: WalletFileOption = None,
    zone: ZoneName = None,
    genesis: GenesisFile = None,
    home_node: HomeNodes = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Hold a document against the ledger; with --home or --wallet compute the bill anew.

    As its customer: from your own readings, which your home node shows you with what proves them,
    from reports that the ledger applied, and from the tariffs on the ledger. With --sums from a
    table of your own. Exit code 5, and the first difference, if it is not what was issued or not
    what they make.

    Examples:
      tanglewatt bill verify bill.json --home home_01
      tanglewatt bill verify bill.json --wallet my.wallet --node http://127.0.0.1:8080
        --genesis genesis.json
      tanglewatt bill verify bill.json --sums my-november.csv
    """
    with ending(as_json=as_json):
        layout, bill = layout_of(data_dir), read_bill(file)
        book = Book(node_client(layout, node))
        issued = book.verify_issued(bill)
        notes: tuple[str, ...] = ()
        is_own = home is not None or wallet is not None
        if sums is not None:
            _verify_computed(book, bill, sums)
        elif is_own:
            key = wallet_issuer(layout, wallet_path(layout, home, wallet), passphrase_file).key
            places = Places(layout, node, tuple(home_node or ()), genesis)
            notes = _verify_own(book, bill, places, key, zone_named(layout, zone))
        status = {
            "number": bill.number,
            "credited_by": issued.credited_by or None,
            "paid_ueur": issued.paid_ueur,
            "refunded_ueur": issued.refunded_ueur,
            "computed": sums is not None or is_own,
        }
        _say_verified(status, notes, as_json=as_json)


def credit(  # noqa: PLR0913 — to Typer each option is an argument
    *,
    file: BillFile,
    out: NewFile,
    home: Home = None,
    wallet: WalletFileOption = None,
    key_file: KeyFile = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    passphrase_file: PassphraseFile = None,
    wait_s: WaitSeconds = DEFAULT_WAIT_S,
    as_json: AsJson = False,
) -> None:
    """Take a whole bill back by a credit note; what was right about it is billed again.

    Examples:
      tanglewatt bill credit bill.json --wallet issuer.wallet --out credit-note.json
    """
    with ending(as_json=as_json):
        layout = layout_of(data_dir)
        book = Book(node_client(layout, node))
        signer = _signer(layout, (home, wallet, key_file), passphrase_file)
        bill = read_bill(file)
        _require_issuer(bill, signer)
        book.verify_issued(bill)
        number = book.last_number(issuer_of(bill)) + 1
        note = credit_note(bill, number, book.ledger_time_ms(), os.urandom(HASH_SIZE))
        _issue(book, signer, note, out, _expected(layout, node), wait_s)
        _say_issued(note, out, as_json=as_json)


def _tariffs(book: Book, issuer: Address, file: Path | None) -> list[Tariff]:
    return book.tariffs(issuer) if file is None else parse_tariffs(read_text(file))


def _verify_own(
    book: Book, bill: Bill, places: Places, key: SigningKey, zone: ZoneInfo | None
) -> tuple[str, ...]:
    """Compute a bill anew as its customer; return what was used.

    Raises:
        InvalidProofError: With the first difference.
        CommandError: The key is another's, or what is needed is not there.
    """
    content, member = bill.content, address_of(key.public)
    if member != content.parties.customer:
        customer = encode_address(Address(content.parties.customer))
        raise bad_argument(
            f"bill {bill.number} is not of {encode_address(member)}", f"it is of {customer}"
        )
    if bill.credits is not None:
        raise bad_argument(
            f"document {bill.number} is a credit note",
            f"compute bill {bill.credits.number} anew, which it takes back",
        )
    computed = recompute(records_of(places, key), member, period_of(content), zone)
    verify_bill(bill, computed, book.tariffs(issuer_of(bill)))
    return computed.notes


def _say_verified(status: Mapping[str, object], notes: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        put_json({"holds": True, **status, "notes": list(notes)})
        return
    for name, value in status.items():
        put(f"{name}: {'none' if value is None else str(value).lower()}")
    for note in notes:
        put(note)
    say("✔ the ledger has the digest of this document")
    if status["computed"]:
        say("✔ computed anew it is the same bill, byte for byte")


def _verify_computed(book: Book, bill: Bill, sums: Path) -> None:
    """Compute a bill anew. Raises `InvalidProofError` with the first difference."""
    content = bill.content
    tariffs = book.tariffs(issuer_of(bill))
    known = parse_sums(read_text(sums))
    made = preview(content.parties, known, tariffs, period_of(content))
    final_bill(made, bill.number, bill.issued_at_ms, bill.salt)  # refuses missing days
    difference = first_difference(content, made.content)
    if difference is not None:
        raise InvalidProofError(f"document {bill.number}: {difference}")


def _signer(
    layout: Layout, named: tuple[str | None, Path | None, Path | None], passphrase: Path | None
) -> Issuer:
    home, wallet, key_file = named
    if key_file is not None:
        return key_issuer(layout, key_file, passphrase)
    return wallet_issuer(layout, wallet_path(layout, home, wallet), passphrase)


def _require_issuer(bill: Bill, signer: Issuer) -> None:
    """Check that who signs issued the bill: another's number may be that of a bill of its own."""
    found, wanted = address_of(signer.key.public), issuer_of(bill)
    if found != wanted:
        raise CommandError(
            Failure(
                FailureCode.BAD_ARGUMENT,
                ExitCode.USAGE,
                f"bill {bill.number} cannot be taken back by {encode_address(found)}",
                f"it was issued by {encode_address(wanted)}",
                "name the issuer's wallet or key file",
            )
        )


def _expected(layout: Layout, node: str | None) -> str | None:
    return network_of(layout) if node is None else None


def _issue(
    book: Book, signer: Issuer, bill: Bill, out: Path, network: str | None, wait_s: float
) -> None:
    """Write the file, then put the digest on the ledger: never a digest without its document.

    A file whose digest is certainly not on the ledger goes again; one that may be stays.
    """
    write_new(out, bill_file(bill))
    try:
        issue_document(book, signer, bill, network, wait_s)
    except CommandError as error:
        if isinstance(error, NotTakenError) or error.failure.code is FailureCode.REFUSED:
            out.unlink()
        raise


def _say_issued(bill: Bill, out: Path, *, as_json: bool) -> None:
    say(f"✔ {bill_sheet(bill).title} is on the ledger; its only copy is {out}")
    if as_json:
        put_json(bill_document(bill))
    else:
        put(str(bill.number))


def _hand_out(sheet: Sheet, paper: Paper, out: Path | None) -> None:
    data = _laid_out(sheet, paper)
    if out is not None:
        write_new(out, data)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _laid_out(sheet: Sheet, paper: Paper) -> bytes:
    match paper:
        case "text":
            return _plain(sheet).encode("utf-8")
        case "html":
            return sheet_html(sheet).encode("utf-8")
        case "csv":
            return sheet_csv(sheet).encode("utf-8")
        case "pdf":
            return sheet_pdf(sheet)
        case _:
            assert_never(paper)


def _plain(sheet: Sheet) -> str:
    lines = [sheet.title, *(f"{name}: {value}" for name, value in sheet.facts), *sheet.notes, ""]
    lines += [
        f"{row.what:<29} {row.days:<24} {row.quantity:>16} {row.price:>16} {row.amount:>14}"
        for row in sheet.rows
    ]
    lines += ["", f"{sheet.total_name}: {sheet.total} EUR"]
    return "\n".join(lines) + "\n"


add_command(app, "preview", preview_command)
add_command(app, "issue", issue)
add_command(app, "show", show)
add_command(app, "verify", verify)
add_command(app, "credit", credit)

if __name__ == "__main__":
    app(prog_name="tanglewatt bill")
