"""The clocks of a node: ledger time from the genesis alone, and no step backwards."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ground.clock import Clock, ledger_ms, system_monotonic_ms, system_wall_ms
from tangle.effects import Instant
from tangle.genesis import Genesis, Parameters
from tangle.keys import PublicKey

CREATED_AT_MS = 1_000_000
LEDGER_START_MS = 5_000_000


def genesis(time_scale: int) -> Genesis:
    return Genesis(
        name="clocks",
        created_at_ms=CREATED_AT_MS,
        ledger_start_ms=LEDGER_START_MS,
        parameters=Parameters(time_scale=time_scale),
        coordinator_keys=(PublicKey(bytes(32)),),
        quorum=1,
        identities=(),
        allocations=(),
    )


@dataclass
class Machine:
    """A computer whose wall clock can be set, unlike its monotonic one."""

    wall_ms: int = CREATED_AT_MS
    monotonic_ms: int = 77

    def pass_ms(self, passed_ms: int) -> None:
        self.wall_ms += passed_ms
        self.monotonic_ms += passed_ms

    def clock(self, time_scale: int = 1) -> Clock:
        return Clock(genesis(time_scale), lambda: self.wall_ms, lambda: self.monotonic_ms)


@pytest.mark.parametrize(
    ("time_scale", "elapsed_ms", "expected_ms"),
    [
        pytest.param(1, 0, LEDGER_START_MS, id="at the start"),
        pytest.param(1, 250, LEDGER_START_MS + 250, id="unscaled"),
        pytest.param(360, 250, LEDGER_START_MS + 90_000, id="scaled"),
        pytest.param(360, -10, LEDGER_START_MS - 3_600, id="before the genesis was made"),
    ],
)
def test_ledger_time_follows_from_the_genesis(
    time_scale: int, elapsed_ms: int, expected_ms: int
) -> None:
    assert ledger_ms(genesis(time_scale), CREATED_AT_MS + elapsed_ms) == expected_ms


def test_an_instant_shows_both_clocks() -> None:
    machine = Machine()
    clock = machine.clock(time_scale=10)

    machine.pass_ms(40)

    assert clock.instant() == Instant(CREATED_AT_MS + 40, LEDGER_START_MS + 400)


def test_a_clock_set_back_goes_on_at_half_pace_until_it_is_caught_up() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall_ms -= 1_000

    told_ms = []
    for _ in range(6):
        machine.pass_ms(500)
        told_ms.append(clock.wall_ms() - CREATED_AT_MS)

    assert told_ms == [250, 500, 750, 1_000, 1_500, 2_000]


def test_single_milliseconds_do_not_round_to_a_standstill() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall_ms -= 10_000

    for _ in range(100):
        machine.pass_ms(1)
        clock.wall_ms()

    assert clock.wall_ms() == CREATED_AT_MS + 50


def test_a_step_forward_is_followed_at_once() -> None:
    machine = Machine()
    clock = machine.clock()

    machine.wall_ms += 3_600_000

    assert clock.wall_ms() == CREATED_AT_MS + 3_600_000


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(-5_000, 5_000))))
def test_no_clock_ever_runs_backwards(history: list[tuple[int, int]]) -> None:
    machine = Machine()
    clock = machine.clock(time_scale=7)
    told = [clock.instant()]

    for passed_ms, step_ms in history:
        machine.pass_ms(passed_ms)
        machine.wall_ms += step_ms
        told.append(clock.instant())

    assert told == sorted(told, key=lambda instant: (instant.wall_ms, instant.ledger_ms))


def test_the_clocks_of_the_machine_are_read_by_default() -> None:
    before = (system_wall_ms(), system_monotonic_ms())

    clock = Clock(genesis(time_scale=1))

    assert before[0] <= clock.instant().wall_ms
    assert before[1] <= system_monotonic_ms()
