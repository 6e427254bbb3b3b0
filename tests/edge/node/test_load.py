"""The measured load: arrivals a second, and the mean delay of issuing."""

from edge.node.load import WINDOW_MS, LoadMeter


def test_the_rate_counts_the_last_seconds_only() -> None:
    meter = LoadMeter()
    for ms in range(0, 20_000, 100):
        meter.attached(ms)

    assert meter.load(20_000).arrival_rate_per_s == 10.0
    assert meter.load(20_000 + WINDOW_MS + 1).arrival_rate_per_s == 0.0


def test_the_delay_approaches_what_is_measured() -> None:
    meter = LoadMeter()
    for _ in range(200):
        meter.issued(50)

    assert abs(meter.load(0).delay_s - 0.05) < 0.001
