"""Two tasks and the threads between them: what is told is durable, and the loop goes on turning."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from typing_extensions import override

from edge.journal.journal import Journal
from edge.mesh.frames import Body, Transactions, split
from edge.node.checking import FEW, THREADED_TURN_BYTES
from edge.node.executor import Executor
from edge.node.hearing import Hearing
from tangle.effects import PeerId
from tangle.node import NodeCore
from tangle.transaction import TransactionId
from tangle.verification import Verified, parse
from tests.community import CONTRACTS, forged
from tests.edge.hearing import Flood, StillClock
from tests.edge.node.test_executor import FakeGossip
from tests.tangle.cores import ALICE, BOB, GENESIS

REPOSITORY = Path(__file__).parents[3]
KILLS = 6
SEED = 20_261_120


class Said:
    """Peers that say all they have at once, and then nothing."""

    def __init__(self, frames: list[tuple[PeerId, Body]]) -> None:
        self._frames = frames
        self.turns = 0

    async def receive(self, until_wall_ms: int | None) -> list[tuple[PeerId, Body]]:
        del until_wall_ms
        self.turns += 1
        await asyncio.sleep(0)
        frames, self._frames = self._frames, []
        return frames


def flood(count: int) -> list[Verified]:
    source = Flood()
    return [source.transaction() for _ in range(count)]


def heard(
    folder: Path, source: Said, attached: int, threads: int | None
) -> tuple[Executor, FakeGossip]:
    """Let a node hear until so many transactions are attached; return it and what it told."""

    async def scenario(executor: Executor) -> None:
        done = asyncio.Event()

        def look(_: object) -> None:
            if executor.counts["attached"] == attached:
                done.set()

        executor.observe(look)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            task = group.create_task(Hearing(executor, source, StillClock(), threads).run())
            await done.wait()
            task.cancel()

    core = NodeCore(GENESIS, CONTRACTS)
    with Journal(folder, core.rules.network) as journal:
        journal.restore(GENESIS, 20)
        gossip = FakeGossip(journal)
        executor = Executor(core, journal, gossip, Random(1))
        asyncio.run(scenario(executor))
        return executor, gossip


@pytest.mark.parametrize("threads", [0, 2])
def test_all_comes_in_parents_first_and_is_durable_before_it_is_told(
    tmp_path: Path, threads: int
) -> None:
    made = flood(2_000)
    assert sum(one.size_bytes for one in made) > 2 * THREADED_TURN_BYTES

    source = Said([(ALICE, body) for body in split(one.data for one in made)])
    _, gossip = heard(tmp_path, source, len(made), threads)

    told = [body for body in gossip.broadcasts if isinstance(body, Transactions)]
    ids = [parse(data).tx_id for body in told for data in body.items]
    assert sorted(ids) == sorted(one.tx_id for one in made)
    places = {tx_id: place for place, tx_id in enumerate(ids)}
    for one in made:
        above = [places[up] for up in one.transaction.parents if up in places]
        assert all(place < places[one.tx_id] for place in above)
    so_far = 0
    for body, durable in zip(told, gossip.durable_at_broadcast, strict=True):
        so_far += len(body.items)
        assert durable >= so_far


def test_a_forger_in_the_flood_loses_standing_and_nobody_else_does(tmp_path: Path) -> None:
    made = flood(300)
    forgeries = [forged(one.data) for one in made[:3]]
    frames: list[tuple[PeerId, Body]] = [(BOB, body) for body in split(forgeries)]
    frames += [(ALICE, body) for body in split(one.data for one in made)]

    executor, _ = heard(tmp_path, Said(frames), len(made), 2)

    assert executor.counts["misbehaved"] == len(forgeries)
    assert executor.standings.points(BOB, 0) < executor.standings.points(ALICE, 0)


class InTurns(Said):
    """Peers that say something, and more before that is judged."""

    def __init__(self, turns: list[list[tuple[PeerId, Body]]]) -> None:
        super().__init__([])
        self._turns = turns

    @override
    async def receive(self, until_wall_ms: int | None) -> list[tuple[PeerId, Body]]:
        self._frames = self._turns.pop(0) if self._turns else []
        return await super().receive(until_wall_ms)


def test_forgeries_of_what_is_on_its_way_stop_no_node(tmp_path: Path) -> None:
    """Whoever overhears transactions sends them with signatures of his own, and is first."""
    made = flood(2 * FEW)
    forgeries = split(forged(one.data) for one in made)
    source = InTurns(
        [[(BOB, body) for body in forgeries], [(ALICE, body) for body in split(map(_data, made))]]
    )

    executor, _ = heard(tmp_path, source, len(made), 2)

    assert executor.counts["misbehaved"] > 0
    assert executor.standings.points(BOB, 0) < executor.standings.points(ALICE, 0)
    assert executor.admission.checking_count == 0


def _data(one: Verified) -> bytes:
    return one.data


def acknowledged_until_killed(folder: Path, lines: int) -> list[TransactionId]:
    """Return what a node told its peers before it was killed."""
    with subprocess.Popen(
        [sys.executable, "-B", "-m", "tests.edge.hearing", str(folder)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.kill()  # at once, while signatures are checked and a batch is written
        said += process.stdout.readlines()
    return [TransactionId(bytes.fromhex(line)) for line in said if line.endswith("\n")]


def test_a_kill_in_the_middle_of_a_batch_loses_nothing_that_was_told(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    for number in range(KILLS):
        folder = tmp_path / str(number)
        told = acknowledged_until_killed(folder, rng.randint(1, 1_500))

        core = NodeCore(GENESIS, CONTRACTS)
        with Journal(folder, core.rules.network) as journal:
            journal.verify()
            restored = journal.restore(GENESIS, 20)
            assert restored is not None
            again = NodeCore(GENESIS, CONTRACTS, restored)
            assert len(told) > 0
            assert all(tx_id in again.graph for tx_id in told)
