from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.sources import recorded
from devices.sources.recorded import MAX_NAMED_FAULTS, parse_recording
from devices.sources.rows import Position, Registers, SourceRow
from tangle.errors import InvalidRecordingError
from tangle.transaction import MAX_INTEGER

SAMPLE = Path(__file__).parent.parent / "vectors" / "home_sample.csv"
HEADER = "interval_end,import_register_wh,export_register_wh\n"
FIRST = "2024-01-01T00:15:00Z,10,1\n"
SECOND = "2024-01-01T00:30:00Z,20,2\n"
JANUARY_MS = 1_704_067_200_000
QUARTER_MS = 900_000


def test_the_sample_home_reads_as_its_last_row_says() -> None:
    text = SAMPLE.read_text(encoding="utf-8")
    last = text.splitlines()[-1].split(",")

    recording = parse_recording(text)

    assert len(recording.rows) == len(text.splitlines()) - 1
    assert recording.rows[-1].registers == Registers(int(last[3]), int(last[4]))


def test_an_interval_starts_where_the_one_before_it_ended() -> None:
    recording = parse_recording(HEADER + FIRST + SECOND + "2024-01-01T02:00:00+01:00,20,9\n")

    assert recording.rows == (
        SourceRow(JANUARY_MS, JANUARY_MS + QUARTER_MS, Registers(10, 1), "measured"),
        SourceRow(
            JANUARY_MS + QUARTER_MS, JANUARY_MS + 2 * QUARTER_MS, Registers(20, 2), "measured"
        ),
        SourceRow(
            JANUARY_MS + 2 * QUARTER_MS, JANUARY_MS + 4 * QUARTER_MS, Registers(20, 9), "measured"
        ),
    )


def test_the_first_interval_is_as_long_as_the_second() -> None:
    recording = parse_recording(
        HEADER + "2024-01-01T05:00:00Z,10,1\n2024-01-01T06:00:00Z,20,2\n2024-01-01T06:15:00Z,20,2\n"
    )

    lengths_ms = [row.interval_end_ms - row.interval_start_ms for row in recording.rows]
    assert lengths_ms == [3_600_000, 3_600_000, 900_000]


def test_a_recording_gives_rows_by_number_and_then_ends() -> None:
    recording = parse_recording(HEADER + FIRST + SECOND)

    assert recording.row(Position(rows=1)) is recording.rows[1]
    assert recording.row(Position(rows=2)) is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\ufeff" + HEADER + FIRST + SECOND, id="byte order mark"),
        pytest.param((HEADER + FIRST + SECOND).replace("\n", "\r\n"), id="Windows line ends"),
        pytest.param(HEADER + FIRST + "\n" + SECOND + "\n", id="empty lines"),
        pytest.param((HEADER + FIRST + SECOND).rstrip(), id="no newline at the end"),
        pytest.param(
            "note,export_register_wh, interval_end,import_register_wh\n"
            '"a, b",1,2024-01-01T00:15:00+00:00, 10\n'
            ",2,2024-01-01T00:30:00.000Z,20,more\n",
            id="other order, other columns, other spelling",
        ),
    ],
)
def test_the_same_rows_may_be_written_differently(text: str) -> None:
    assert parse_recording(text) == parse_recording(HEADER + FIRST + SECOND)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        pytest.param(
            "2024-01-01T00:30:00,20,2",
            "interval_end '2024-01-01T00:30:00' is not an ISO 8601 time with a zone",
            id="no zone",
        ),
        pytest.param("soon,20,2", "interval_end 'soon' is not an ISO 8601 time", id="no time"),
        pytest.param("1969-12-31T23:00:00Z,20,2", "lies before 1970", id="before 1970"),
        pytest.param(
            "2024-01-01T00:15:00Z,20,2",
            "interval_end 2024-01-01T00:15:00+00:00 is not later than 2024-01-01T00:15:00+00:00",
            id="time stands still",
        ),
        pytest.param("2024-01-01T00:14:00Z,20,2", "is not later than", id="time goes back"),
        pytest.param("2024-01-01T00:30:00Z,9,2", "import_register_wh falls from 10 to 9", id="imp"),
        pytest.param("2024-01-01T00:30:00Z,20,0", "export_register_wh falls from 1 to 0", id="exp"),
        pytest.param("2024-01-01T00:30:00Z,-20,2", "import_register_wh -20 is negative", id="neg"),
        pytest.param("2024-01-01T00:30:00Z,20.5,2", "'20.5' is not a whole number", id="fraction"),
        pytest.param("2024-01-01T00:30:00Z,,2", "'' is not a whole number of Wh", id="empty"),
        pytest.param("2024-01-01T00:30:00Z,1_0,2", "'1_0' is not a whole number", id="underscore"),
        pytest.param("2024-01-01T00:30:00Z,²,2", "'²' is not a whole number", id="other digits"),
        pytest.param("2024-01-01T00:30:00Z,20", "no value for export_register_wh", id="cut short"),
        pytest.param(
            f"2024-01-01T00:30:00Z,{MAX_INTEGER + 1},2", f"is above {MAX_INTEGER}", id="too large"
        ),
        pytest.param(
            "2024-01-01T00:30:00Z," + "9" * 5_000 + ",2", f"is above {MAX_INTEGER}", id="very large"
        ),
    ],
)
def test_a_wrong_row_is_named_with_line_value_and_rule(row: str, fault: str) -> None:
    good = "2024-01-01T00:45:00Z,30,3\n"

    with pytest.raises(InvalidRecordingError) as caught:
        parse_recording(HEADER + FIRST + row + "\n" + good)

    message = str(caught.value)
    assert message.startswith("line 3: ")
    assert fault in message
    assert "\n" not in message


def test_the_largest_register_is_allowed() -> None:
    recording = parse_recording(HEADER + FIRST + f"2024-01-01T00:30:00Z,{MAX_INTEGER},2\n")

    assert recording.rows[1].registers.import_wh == MAX_INTEGER


def test_every_wrong_row_is_named_and_a_flood_of_them_counted() -> None:
    wrong = "never,1,1\n" * (MAX_NAMED_FAULTS + 5)

    with pytest.raises(InvalidRecordingError) as caught:
        parse_recording(HEADER + FIRST + wrong)

    lines = str(caught.value).splitlines()
    assert lines[0].startswith("line 3: ")
    assert lines[-2].startswith(f"line {MAX_NAMED_FAULTS + 2}: ")
    assert lines[-1] == "and 5 more wrong rows"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param("", "line 1: column interval_end, import_register_wh, export", id="empty"),
        pytest.param(
            "interval_end;import_register_wh;export_register_wh\n",
            "column interval_end, import_register_wh, export_register_wh is missing; found: inter",
            id="semicolons",
        ),
        pytest.param(
            "interval_end,export_register_wh\n",
            "column import_register_wh is missing; found: interval_end, export_register_wh",
            id="missing column",
        ),
        pytest.param(
            HEADER.strip() + ",interval_end\n", "column interval_end stands there twice", id="twice"
        ),
        pytest.param(HEADER, "recording of 0 rows: two are needed", id="no rows"),
        pytest.param(HEADER + FIRST, "recording of 1 rows: two are needed", id="one row"),
        pytest.param(
            HEADER + "1970-01-01T00:01:00Z,1,1\n1970-01-01T00:03:00Z,1,1\n",
            "the first interval starts before 1970",
            id="before time",
        ),
        pytest.param(
            HEADER + '"' + "x" * 200_000 + '",1,1\n', "line 2: field larger", id="endless field"
        ),
    ],
)
def test_a_file_that_is_no_recording_is_refused(text: str, fault: str) -> None:
    with pytest.raises(InvalidRecordingError, match=fault):
        parse_recording(text)


def test_a_recording_beyond_the_maximum_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "MAX_RECORDING_SIZE", 10)

    with pytest.raises(InvalidRecordingError, match="11 characters: the maximum is 10"):
        parse_recording("x" * 11)


@given(st.text(max_size=200))
def test_no_text_makes_parsing_fail_in_another_way(text: str) -> None:
    for candidate in (text, HEADER + FIRST + text):
        try:
            parse_recording(candidate)
        except InvalidRecordingError:
            continue
