"""Figures: the median of rounds, and how they are told."""

import json

import pytest

from api.bench.figures import Figure, json_form, machine, show, table

VERIFIED = Figure("ingest", "tx/s", (9.0, 30_000.4, 20_000.0), limit=40_000, cpu_us_per_item=98.76)
PLAIN = Figure("walk", "ms", (0.041239,))


def test_the_value_is_the_median_and_the_ratio_that_of_the_limit() -> None:
    assert VERIFIED.value == 20_000
    assert VERIFIED.ratio == 0.5
    assert PLAIN.ratio is None


def test_a_figure_as_json_has_every_field() -> None:
    assert json_form(VERIFIED) == {
        "metric": "ingest",
        "value": 20_000,
        "unit": "tx/s",
        "rounds": 3,
        "limit": 40_000,
        "ratio": 0.5,
        "cpu_us_per_item": 98.8,
        "machine": machine(),
    }
    assert json_form(PLAIN)["value"] == 0.0412
    assert json_form(PLAIN)["limit"] is None


def test_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show([VERIFIED, PLAIN], as_json=True)

    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["metric"] for line in lines] == ["ingest", "walk"]


def test_a_table_has_a_row_for_each_figure_and_says_where() -> None:
    heading, first, second, empty, where = table([VERIFIED, PLAIN]).splitlines()

    assert heading.split() == [
        "metric",
        "value",
        "unit",
        "rounds",
        "limit",
        "ratio",
        "CPU",
        "µs/item",
    ]
    assert first.split() == ["ingest", "20,000", "tx/s", "3", "40,000", "0.5", "98.8"]
    assert second.split() == ["walk", "0.0412", "ms", "1"]
    assert (empty, where) == ("", machine())
