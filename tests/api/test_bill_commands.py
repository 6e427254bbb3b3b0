"""What the commands of bills read and write, against the rows of a ledger without a network."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typing_extensions import override

from api.bills.book import Book
from api.bills.files import read_bill, read_text, write_new
from api.client.answers import QueryAnswer
from api.client.node_client import NodeClient
from api.commands import bill_main
from api.failures import CommandError
from energy.bills.answers import read_issued, read_tariffs
from energy.bills.as_json import bill_file
from energy.bills.contract import Credit, Issue, Pay, SetTariff
from energy.bills.documents import Bill, Parties, bill_digest, credit_note, final_bill, preview
from energy.bills.files import sums_csv
from energy.queries import Addresses, Names, ask
from tangle.errors import InvalidError, InvalidProofError
from tests.community import START_MS
from tests.energy.bills.billing import NOVEMBER, SALT, SLIDE, slide_bill, slide_sums
from tests.energy.bills.test_contract import CUSTOMER, OPERATOR, Office

NETWORK = bytes(8)


class AnsweringClient(NodeClient):
    """A node that answers questions of the rows of a town."""

    def __init__(self, office: Office) -> None:
        super().__init__("http://127.0.0.1:1")
        self.office = office

    @override
    def query(self, keys: Sequence[str]) -> QueryAnswer:
        names = Names(Addresses())
        answers = {key: ask(self.office.rows, key, names) for key in keys}
        return QueryAnswer(1, answers)  # type: ignore[arg-type] # lists of lists are such lists


class OneNetworkBook(Book):
    @override
    def network(self) -> bytes:
        return NETWORK


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def book(office: Office) -> Book:
    return OneNetworkBook(AnsweringClient(office))


def issued(office: Office) -> Bill:
    assert office.bill("B", SetTariff(SLIDE)) is None
    made = preview(Parties(NETWORK, OPERATOR, CUSTOMER), slide_sums(), [SLIDE], NOVEMBER)
    bill = final_bill(made, 1, START_MS, SALT)
    assert office.bill("B", Issue(1, (bill_digest(bill),))) is None
    return bill


def test_a_node_tells_numbers_tariffs_and_documents(office: Office, book: Book) -> None:
    assert book.last_number(OPERATOR) == 0
    assert book.tariffs(OPERATOR) == []
    assert book.issued(OPERATOR, 1) is None

    bill = issued(office)
    office.bill("C", Pay(OPERATOR, 1, 30_750_000))

    assert book.last_number(OPERATOR) == 1
    assert book.tariffs(OPERATOR) == [SLIDE]
    found = book.verify_issued(bill)
    assert (found.digest, found.paid_ueur) == (bill_digest(bill), 30_750_000)


def test_a_document_that_was_not_issued_does_not_hold(office: Office, book: Book) -> None:
    bill = issued(office)
    note = credit_note(bill, 2, START_MS, SALT)

    with pytest.raises(InvalidProofError, match="the ledger has none"):
        book.verify_issued(note)
    office.bill("B", Credit(2, bytes(32), 1))
    with pytest.raises(InvalidProofError, match=f"the ledger has {bytes(32).hex()}"):
        book.verify_issued(note)


def test_a_document_of_another_network_does_not_hold(office: Office) -> None:
    class OtherBook(Book):
        @override
        def network(self) -> bytes:
            return b"12345678"

    with pytest.raises(InvalidProofError, match="of network 0000000000000000"):
        OtherBook(AnsweringClient(office)).verify_issued(issued(office))


def test_a_member_computes_a_bill_anew_from_own_sums_and_the_ledger(
    office: Office, book: Book, tmp_path: Path
) -> None:
    bill = issued(office)
    file = tmp_path / "sums.csv"
    file.write_text(sums_csv(slide_sums()), "utf-8")

    bill_main._verify_computed(book, bill, file)


def test_the_first_difference_is_told(office: Office, book: Book, tmp_path: Path) -> None:
    bill = issued(office)
    file = tmp_path / "sums.csv"
    file.write_text(sums_csv(slide_sums()).replace(",504,", ",503,", 1), "utf-8")

    with pytest.raises(
        InvalidProofError, match="line 2: grid, quantity billed 15130, computed 15129"
    ):
        bill_main._verify_computed(book, bill, file)


def test_sums_with_a_day_missing_compute_nothing(
    office: Office, book: Book, tmp_path: Path
) -> None:
    bill = issued(office)
    file = tmp_path / "sums.csv"
    file.write_text(sums_csv(slide_sums()[1:]), "utf-8")

    with pytest.raises(InvalidError, match="no sums of 1 days"):
        bill_main._verify_computed(book, bill, file)


def test_a_document_is_shown_as_any_paper(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    file = tmp_path / "bill.json"
    write_new(file, bill_file(slide_bill()))

    for paper, mark in (
        ("text", b"Total due: 30.75 EUR"),
        ("csv", b"Total due,,,,30.75"),
        ("html", b"<!DOCTYPE html>"),
        ("pdf", b"%PDF-"),
    ):
        bill_main.show(file=file, paper=paper)  # type: ignore[arg-type] # a list of literals
        assert mark in capsysbinary.readouterr().out
    bill_main.show(file=file, as_json=True)
    assert json.loads(capsysbinary.readouterr().out)["total_ueur"] == 30_750_000


def test_a_paper_goes_to_a_file_that_was_not_there(tmp_path: Path) -> None:
    file, out = tmp_path / "bill.json", tmp_path / "bill.pdf"
    write_new(file, bill_file(slide_bill()))

    bill_main.show(file=file, paper="pdf", out=out)

    assert out.read_bytes().startswith(b"%PDF-")
    assert out.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SystemExit):
        bill_main.show(file=file, paper="pdf", out=out)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff")

    with pytest.raises(CommandError, match="nowhere"):
        read_bill(tmp_path / "nowhere")
    with pytest.raises(CommandError, match="binary"):
        read_text(binary)
    with pytest.raises(InvalidError):
        read_bill(binary)


@pytest.mark.parametrize("answer", [["1"], ["zz", "0 EUR", "0 EUR", "0", "0"]])
def test_answers_that_say_nothing_of_a_document_are_refused(answer: list[str]) -> None:
    with pytest.raises(InvalidError, match="says nothing of a document"):
        read_issued(answer)


def test_answers_that_are_no_tariff_are_refused() -> None:
    with pytest.raises(InvalidError, match="a tariff of 1 fields"):
        read_tariffs([["2026-01-01"]])
