import msgspec
import pytest

from energy.bills.days import Stretch
from energy.bills.documents import (
    MAX_LINES,
    Content,
    bill_digest,
    credit_note,
    decode_bill,
    encode_bill,
    final_bill,
    first_difference,
    issuer_of,
    period_of,
    preview,
)
from energy.bills.lines import Line
from tangle.errors import InvalidError, MalformedBytesError
from tests.community import START_MS
from tests.energy.bills.billing import (
    ISSUER,
    NOVEMBER,
    PARTIES,
    SALT,
    SLIDE,
    slide_bill,
    slide_preview,
    slide_sums,
)

replace = msgspec.structs.replace


def test_a_final_bill_says_what_its_preview_said() -> None:
    bill = slide_bill()

    assert bill.content == slide_preview().content
    assert bill.content.total_ueur == 30_750_000
    assert (bill.number, bill.credits) == (1, None)
    assert (issuer_of(bill), period_of(bill.content)) == (ISSUER, NOVEMBER)


def test_the_same_sums_and_tariffs_make_the_same_bytes() -> None:
    assert encode_bill(slide_bill()) == encode_bill(slide_bill())
    assert decode_bill(encode_bill(slide_bill())) == slide_bill()


def test_a_bill_with_a_day_missing_is_previewed_and_not_made() -> None:
    previewed = preview(PARTIES, slide_sums()[:-2], [SLIDE], NOVEMBER)

    assert previewed.missing_days == (NOVEMBER.after_day - 2, NOVEMBER.after_day - 1)
    with pytest.raises(InvalidError, match="no sums of 2 days, first 2026-11-29"):
        final_bill(previewed, 1, START_MS, SALT)


def test_a_bill_of_more_lines_than_anyone_reads_is_refused() -> None:
    tariffs = [replace(SLIDE, from_day=day, rental_ueur=0) for day in range(MAX_LINES + 1)]

    with pytest.raises(InvalidError, match="a bill of 8194 lines"):
        preview(PARTIES, [], tariffs, Stretch(0, MAX_LINES + 1))


def test_the_digest_changes_with_anything_a_bill_says_and_with_its_salt() -> None:
    bill = slide_bill()
    others = [
        replace(bill, number=2),
        replace(bill, issued_at_ms=START_MS + 1),
        replace(bill, salt=bytes(32)),
        replace(bill, content=replace(bill.content, after_day=NOVEMBER.after_day + 1)),
    ]

    assert len({bill_digest(one) for one in (bill, *others)}) == 5


def test_a_credit_note_takes_the_whole_bill_back_and_names_it() -> None:
    bill = slide_bill()

    note = credit_note(bill, 2, START_MS, SALT)

    assert note.content.total_ueur == -bill.content.total_ueur
    assert [line.amount_ueur for line in note.content.lines] == [
        -line.amount_ueur for line in bill.content.lines
    ]
    assert note.credits is not None
    assert (note.credits.number, note.credits.digest) == (1, bill_digest(bill))
    assert decode_bill(encode_bill(note)) == note


def test_a_credit_note_is_not_taken_back() -> None:
    note = credit_note(slide_bill(), 2, START_MS, SALT)

    with pytest.raises(InvalidError, match="document 2 is a credit note, of bill 1"):
        credit_note(note, 3, START_MS, SALT)


def test_bytes_that_do_not_add_up_are_no_bill() -> None:
    bill = slide_bill()
    wrong = replace(bill, content=replace(bill.content, total_ueur=30_760_000))

    with pytest.raises(InvalidError, match="its lines make 30750000"):
        decode_bill(encode_bill(wrong))


def test_bytes_that_cover_no_day_are_no_bill() -> None:
    bill = slide_bill()
    wrong = replace(bill, content=replace(bill.content, after_day=bill.content.first_day))

    with pytest.raises(InvalidError, match="covers no day"):
        decode_bill(encode_bill(wrong))


def test_bytes_of_something_else_are_no_bill() -> None:
    with pytest.raises(MalformedBytesError):
        decode_bill(encode_bill(slide_bill())[:-1])


def test_two_computations_that_agree_have_no_difference() -> None:
    assert first_difference(slide_preview().content, slide_bill().content) is None


def _with_line(content: Content, at: int, line: Line) -> Content:
    lines = list(content.lines)
    lines[at] = line
    return replace(content, lines=tuple(lines))


def test_the_first_difference_is_named_with_both_values() -> None:
    billed = slide_preview().content
    grid = billed.lines[1]
    cases = {
        "parties: billed": replace(billed, parties=replace(PARTIES, network=b"12345678")),
        f"first_day: billed {billed.first_day}, computed 1": replace(billed, first_day=1),
        f"after_day: billed {billed.after_day}, computed 1": replace(billed, after_day=1),
        "line 2: grid, amount_ueur billed 756500, computed 756499": _with_line(
            billed, 1, replace(grid, amount_ueur=756_499)
        ),
        "line 2: grid, quantity billed 15130, computed 15129; price billed 50000, computed 1": (
            _with_line(billed, 1, replace(grid, quantity=15_129, price=1))
        ),
        "line 2: billed grid 756500 µEUR, computed tax 756500 µEUR": _with_line(
            billed, 1, replace(grid, kind="tax")
        ),
        "line 5: billed discount -6500 µEUR, computed none": replace(
            billed, lines=billed.lines[:-1]
        ),
        "line 6: billed none, computed grid 756500 µEUR": replace(
            billed, lines=(*billed.lines, grid)
        ),
        "total: billed 30750000 µEUR, computed 1 µEUR": replace(billed, total_ueur=1),
    }

    for expected, computed in cases.items():
        found = first_difference(billed, computed)
        assert found is not None
        assert found.startswith(expected)
