"""The commands `bill preview`, `issue`, `show`, `verify`, `credit`: a process of their own.

`python -m api.commands.bill_main`: what draws PDF must not slow the other commands down.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal, assert_never

import typer

from api.bills.book import Book, issue_document
from api.bills.files import read_bill, read_text, write_new
from api.bills.pdf import sheet_pdf
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
from energy.bills.days import stretch
from energy.bills.documents import (
    Bill,
    Parties,
    Preview,
    credit_note,
    final_bill,
    first_difference,
    issuer_of,
    period_of,
    preview,
)
from energy.bills.files import parse_sums, parse_tariffs
from energy.bills.sheet import Sheet, bill_sheet, preview_sheet
from tangle.address import Address, address_of, encode_address
from tangle.errors import InvalidProofError
from tangle.hashing import HASH_SIZE

app = typer_app("Bills: previewed, issued, shown, verified, taken back.")

Paper = Literal["text", "html", "csv", "pdf"]
BillFile = Annotated[Path, typer.Argument(metavar="FILE", help="What `bill issue` wrote.")]
NewFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="[default: stdout]")]
SumsFile = Annotated[
    Path, typer.Option("--sums", metavar="FILE", help="CSV: energy by local day and regime.")
]
OwnSums = Annotated[
    Path | None, typer.Option("--sums", metavar="FILE", help="Your own sums, to compute it anew.")
]
TariffFile = Annotated[
    Path | None, typer.Option("--tariffs", metavar="FILE", help="TOML. [default: of the ledger]")
]
IssuerText = Annotated[str, typer.Option("--issuer", metavar="ADDRESS", help="Address or home.")]
Customer = Annotated[str, typer.Option("--customer", metavar="ADDRESS", help="Address or home.")]
FirstDay = Annotated[str, typer.Option("--first-day", metavar="YYYY-MM-DD")]
LastDay = Annotated[str, typer.Option("--last-day", metavar="YYYY-MM-DD", help="Included.")]
As = Annotated[Paper, typer.Option("--as", help="text, html, csv or pdf.")]


def preview_command(  # noqa: PLR0913 — to Typer each option is an argument
    *,
    issuer: IssuerText,
    customer: Customer,
    first_day: FirstDay,
    last_day: LastDay,
    sums: SumsFile,
    tariffs: TariffFile = None,
    paper: As = "text",
    out: Out = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show what a bill would say. Of days without sums it says that nothing is known.

    Examples:
      tanglewatt bill preview --issuer tw1… --customer home_01 --first-day 2026-11-01
        --last-day 2026-11-30 --sums november.csv
    """
    with ending(as_json=as_json):
        layout = layout_of(data_dir)
        book = Book(node_client(layout, node))
        names = AddressBook(layout)
        parties = Parties(book.network(), names[issuer], names[customer])
        made = _previewed(book, parties, (first_day, last_day), sums, tariffs)
        if as_json:
            put_json(preview_document(made))
        else:
            _hand_out(preview_sheet(made), paper, out)


def issue(  # noqa: PLR0913 — to Typer each option is an argument
    *,
    customer: Customer,
    first_day: FirstDay,
    last_day: LastDay,
    sums: SumsFile,
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
    """Make a final bill: the next number, its digest on the ledger, its file here.

    It returns when the ledger has applied it. Keep the file: nothing else says what was billed.

    Examples:
      tanglewatt bill issue --wallet issuer.wallet --customer home_01 --first-day 2026-11-01
        --last-day 2026-11-30 --sums november.csv --out bill.json
    """
    with ending(as_json=as_json):
        layout = layout_of(data_dir)
        book = Book(node_client(layout, node))
        signer = _signer(layout, (home, wallet, key_file), passphrase_file)
        issuer = address_of(signer.key.public)
        parties = Parties(book.network(), issuer, AddressBook(layout)[customer])
        made = _previewed(book, parties, (first_day, last_day), sums, None)
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


def verify(
    *,
    file: BillFile,
    sums: OwnSums = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    node: NodeUrl = None,
    as_json: AsJson = False,
) -> None:
    """Hold a document against the ledger, and with --sums compute the bill anew.

    Exit code 5, and the first difference, if it is not what was issued or not what sums and
    tariffs make.

    Examples:
      tanglewatt bill verify bill.json --sums my-november.csv
    """
    with ending(as_json=as_json):
        bill = read_bill(file)
        book = Book(node_client(layout_of(data_dir), node))
        issued = book.verify_issued(bill)
        if sums is not None:
            _verify_computed(book, bill, sums)
        status = {
            "number": bill.number,
            "credited_by": issued.credited_by or None,
            "paid_ueur": issued.paid_ueur,
            "refunded_ueur": issued.refunded_ueur,
            "computed": sums is not None,
        }
        if as_json:
            put_json({"holds": True, **status})
            return
        for name, value in status.items():
            put(f"{name}: {'none' if value is None else str(value).lower()}")
        say("✔ the ledger has the digest of this document")
        if sums is not None:
            say("✔ sums and tariffs of the ledger make the same bill, byte for byte")


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


def _previewed(
    book: Book, parties: Parties, days: tuple[str, str], sums: Path, tariffs: Path | None
) -> Preview:
    if tariffs is None:
        agreed = book.tariffs(Address(parties.issuer))
    else:
        agreed = parse_tariffs(read_text(tariffs))
    return preview(parties, parse_sums(read_text(sums)), agreed, stretch(*days))


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
