"""The paper is read back: text of a PDF without compression stands in its bytes."""

import re
import zlib
from base64 import a85decode
from dataclasses import replace

import msgspec

from api.bills.pdf import sheet_pdf
from energy.bills.days import Stretch
from energy.bills.documents import preview
from energy.bills.sheet import bill_sheet, preview_sheet
from tests.energy.bills.billing import PARTIES, SLIDE, slide_bill


def texts(data: bytes) -> list[str]:
    """Return what is drawn on the pages, in order."""
    drawn = []
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", data, re.DOTALL):
        page = zlib.decompress(a85decode(stream.strip().removesuffix(b"~>")))
        drawn += re.findall(rb"\((.*?)(?<!\\)\) Tj", page)
    return [re.sub(r"\\(.)", r"\1", text.decode("cp1252")) for text in drawn]


def test_the_paper_says_all_that_the_sheet_says() -> None:
    sheet = bill_sheet(slide_bill())

    drawn = texts(sheet_pdf(sheet))

    assert drawn[0] == "Bill 1"
    for row in sheet.rows:
        assert {row.what, row.quantity, row.price, row.amount} - {""} <= set(drawn)
    assert "30.75 EUR" in drawn
    assert {value for _, value in sheet.facts} <= set(drawn)


def test_the_same_bill_is_the_same_paper() -> None:
    assert sheet_pdf(bill_sheet(slide_bill())) == sheet_pdf(bill_sheet(slide_bill()))


def test_many_lines_take_many_pages_with_their_header_on_each() -> None:
    tariffs = [msgspec.structs.replace(SLIDE, from_day=day) for day in range(200)]
    sheet = preview_sheet(preview(PARTIES, [], tariffs, Stretch(0, 200)))

    drawn = texts(sheet_pdf(sheet))

    pages = drawn.count("What")
    assert pages > 5
    assert f"Preview of a bill, page {pages}" in drawn
    assert drawn.count("Delivery") == 200


def test_long_notes_are_wrapped() -> None:
    sheet = bill_sheet(slide_bill())
    noted = replace(sheet, notes=("word " * 60,))

    drawn = texts(sheet_pdf(noted))

    assert sum(text.startswith("word word") for text in drawn) > 1
