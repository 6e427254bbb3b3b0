import csv
import json
import re
from html.parser import HTMLParser

import msgspec
import pytest
from typing_extensions import override

from energy.bills.as_json import (
    MAX_BILL_FILE_SIZE,
    bill_document,
    bill_file,
    parse_bill_file,
    preview_document,
)
from energy.bills.as_text import sheet_csv, sheet_html
from energy.bills.days import Stretch
from energy.bills.documents import bill_digest, credit_note, preview
from energy.bills.sheet import Sheet, bill_sheet, money, preview_sheet
from energy.bills.sums import DaySum
from tangle.errors import InvalidError
from tests.community import START_MS
from tests.energy.bills.billing import (
    NOVEMBER,
    PARTIES,
    SALT,
    SLIDE,
    slide_bill,
    slide_preview,
    slide_sums,
)

replace = msgspec.structs.replace


class Texts(HTMLParser):
    """The texts of a page, and every attribute that could load something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.loads: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [name for name, _ in attrs if name in ("src", "href", "srcset", "data")]
        if tag != "meta":
            self.open.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        if data.strip() and self.open[-1] != "style":
            self.texts.append(data.strip())


@pytest.mark.parametrize(
    ("amount_ueur", "text"),
    [
        (0, "0.00"),
        (30_750_000, "30.75"),
        (756_500, "0.7565"),
        (-6_500, "-0.0065"),
        (1, "0.000001"),
        (-25_000_000, "-25.00"),
        (100_000, "0.10"),
    ],
)
def test_money_is_exact_and_has_two_decimals_at_least(amount_ueur: int, text: str) -> None:
    assert money(amount_ueur) == text


def test_the_bill_of_the_slide_in_words() -> None:
    sheet = bill_sheet(slide_bill(7))

    assert sheet.title == "Bill 7"
    assert [(row.what, row.quantity, row.price, row.amount) for row in sheet.rows] == [
        ("From energy accounts", "340.00 kWh", "0.00 per kWh", "0.00"),
        ("From the grid", "15.13 kWh", "0.05 per kWh", "0.7565"),
        ("Delivery", "30 of 30 days", "25.00 a month", "25.00"),
        ("Meter rental", "30 of 30 days", "5.00 a month", "5.00"),
        ("Discount: fraction of a cent", "", "", "-0.0065"),
    ]
    assert (sheet.total_name, sheet.total) == ("Total due", "30.75")
    facts = dict(sheet.facts)
    assert facts["Period"] == "2026-11-01 to 2026-11-30"
    assert facts["Issued"] == "2023-11-14 22:13:20 UTC"
    assert facts["Digest"] == bill_digest(slide_bill(7)).hex()


def test_tax_single_days_and_estimates_in_words() -> None:
    tariff = replace(SLIDE, tax_ppm=195_500)
    day = Stretch(NOVEMBER.first_day, NOVEMBER.first_day + 1)
    sums = [DaySum(day.first_day, "grid", from_grid_wh=1_001, is_estimated=True)]

    sheet = preview_sheet(preview(PARTIES, sums, [tariff], day))

    assert [(row.days, row.quantity, row.price) for row in sheet.rows if row.what == "Tax"] == [
        ("2026-11-01", "of 1.050049", "19.55 %")
    ]
    assert sheet.rows[0].quantity == "1.001 kWh"
    assert sheet.notes == ("No bill yet.", "1.001 kWh are of days not wholly measured.")


def test_whole_percents_have_no_decimals() -> None:
    sheet = preview_sheet(preview(PARTIES, [], [replace(SLIDE, tax_ppm=190_000)], NOVEMBER))

    assert [row.price for row in sheet.rows if row.what == "Tax"] == ["19 %"]


def test_a_preview_says_of_which_days_nothing_is_known() -> None:
    few = preview_sheet(preview(PARTIES, slide_sums()[:-2], [SLIDE], NOVEMBER))
    many = preview_sheet(preview(PARTIES, [], [SLIDE], NOVEMBER))

    assert "2 days (2026-11-29, 2026-11-30)" in few.notes[1]
    assert "30 days (2026-11-01, " in many.notes[1]
    assert "2026-11-10, …)" in many.notes[1]


def test_a_credit_note_names_the_bill_and_its_favour() -> None:
    bill = slide_bill(7)

    sheet = bill_sheet(credit_note(bill, 8, START_MS, SALT))

    assert sheet.title == "Credit note 8 for bill 7"
    assert dict(sheet.facts)["Digest of bill 7"] == bill_digest(bill).hex()
    assert (sheet.total_name, sheet.total) == ("Total in your favour", "30.75")
    assert sheet.rows[1].amount == "-0.7565"


def test_the_page_says_all_that_the_sheet_says_and_loads_nothing() -> None:
    sheet = bill_sheet(slide_bill())

    page = sheet_html(sheet)

    found = Texts(page)
    assert found.open == []
    assert found.loads == []
    assert not re.search(r"url\(|@import|https?://", page)
    for row in sheet.rows:
        assert {row.what, row.days, row.amount} <= set(found.texts)
    assert f"{sheet.total} EUR" in found.texts
    assert {value for _, value in sheet.facts} <= set(found.texts)


def test_the_page_reads_in_the_dark_on_a_phone_and_on_paper() -> None:
    page = sheet_html(bill_sheet(slide_bill()))

    for rule in ("prefers-color-scheme: dark", "max-width: 40rem", "@media print", "viewport"):
        assert rule in page


def test_marks_of_html_and_csv_are_no_marks_in_a_text() -> None:
    sheet = bill_sheet(slide_bill())
    odd = Sheet('<b>"a", b</b>', sheet.facts, sheet.rows, '"T", t', "1.00", ("<i>",))

    assert "&lt;b&gt;&quot;a&quot;, b&lt;/b&gt;" in sheet_html(odd)
    assert list(csv.reader(sheet_csv(odd).splitlines()))[-1] == ['"T", t', "", "", "", "1.00"]


def test_the_table_has_a_line_for_each_line_and_the_total() -> None:
    rows = list(csv.DictReader(sheet_csv(bill_sheet(slide_bill())).splitlines()))

    assert [row["amount_eur"] for row in rows] == [
        "0.00",
        "0.7565",
        "25.00",
        "5.00",
        "-0.0065",
        "30.75",
    ]


def test_a_file_is_read_back_as_the_document_it_was_made_of() -> None:
    bill = slide_bill()
    note = credit_note(bill, 2, START_MS, SALT)

    assert parse_bill_file(bill_file(bill)) == bill
    assert parse_bill_file(bill_file(note)) == note
    assert bill_file(bill) == bill_file(bill)


@pytest.mark.parametrize(
    "change",
    [
        {"total_ueur": 1},
        {"number": 2},
        {"customer": "tw1other"},
        {"digest": "00"},
        {"lines": []},
        {"extra": 1},
        {"kind": "credit_note"},
    ],
)
def test_a_file_that_says_other_than_its_bytes_is_refused(change: dict[str, object]) -> None:
    data = json.dumps({**bill_document(slide_bill()), **change}).encode()

    with pytest.raises(InvalidError, match=f"{next(iter(change))} says"):
        parse_bill_file(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{", "bill file"),
        (b"\xff", "bill file"),
        (b"[]", "canonical"),
        (b"{}", "canonical"),
        (b'{"canonical": 1}', "canonical"),
        (b'{"canonical": "xy"}', "canonical"),
        (b'{"canonical": "00"}', "bill of 1 bytes"),
        (b" " * (MAX_BILL_FILE_SIZE + 1), "at most"),
    ],
)
def test_what_is_no_file_of_a_document_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        parse_bill_file(data)


def test_a_preview_as_a_document_says_what_is_missing() -> None:
    shown = preview_document(preview(PARTIES, slide_sums()[1:], [SLIDE], NOVEMBER))

    assert shown["missing_days"] == ["2026-11-01"]
    assert preview_document(slide_preview())["total_ueur"] == 30_750_000
