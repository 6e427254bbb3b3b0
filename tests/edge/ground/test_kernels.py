"""Compiled kernels: taken into use while a node runs, never needed."""

import asyncio
from importlib import import_module
from pathlib import Path
from random import Random

import pytest

from api.network.ports import free_ports
from edge.ground import kernels
from edge.ground.kernels import READY, load_kernels, load_when_it_pays
from tangle.mirror import Mirror
from tangle.transaction import Data
from tangle.weights import CumulativeWeights
from tests.edge.meshed import OLD_KEY, running, wait_until
from tests.tangle.cores import EDGE, MAKE, NOW, G, H, confirm, fresh_core
from tip_selection.view import View
from tip_selection.weighted_walk import select_weighted_walk


def test_a_core_weighs_on_by_kernels_as_it_did_before() -> None:
    found = load_kernels()
    assert found is not None
    changed, plain = fresh_core(), fresh_core()

    for number in range(1, 12):
        if number == 5:
            changed.weigh_by(found.weights)
            assert isinstance(changed.weights, Mirror)
        tip = MAKE.transaction(EDGE, 2 * number, (G, H))
        later = MAKE.transaction(EDGE, 2 * number + 1, tuple(sorted((tip.tx_id, H))))
        for core in (changed, plain):
            core.submit(tip.data, NOW)
            confirm(core, tip.tx_id, ms=number * 10)
            core.submit(later.data, NOW)
        views = [
            View(core.graph, core.weights, core.confirmed_index, core.parameters)
            for core in (changed, plain)
        ]
        first, second = (select_weighted_walk(view, Random(number), 2) for view in views)
        assert first == second

    ids = [vertex.tx_id for vertex in plain.graph.vertices()]
    assert [changed.weights.weight(one) for one in ids] == [
        plain.weights.weight(one) for one in ids
    ]
    assert isinstance(plain.weights, CumulativeWeights)


def test_without_a_compiler_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "COMPILER", "no_such_compiler")

    assert load_kernels() is None


def test_a_compiler_that_does_not_run_here_is_done_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels, "READY", "tangle.no_such_kernels")

    assert load_kernels() is None


def test_a_small_window_does_not_load_them(monkeypatch: pytest.MonkeyPatch) -> None:
    core = fresh_core()
    monkeypatch.setattr(kernels, "LOOK_S", 0.0)
    looks: list[int] = []

    async def grow() -> bool:
        loading = asyncio.create_task(load_when_it_pays(core))
        for number in range(20):
            looks.append(number)
            await asyncio.sleep(0)
        was_done = loading.done()
        monkeypatch.setattr(kernels, "PAYS_FROM", len(core.graph))
        found = await asyncio.wait_for(loading, 60)
        return was_done or found is None

    assert asyncio.run(grow()) is False
    assert import_module(READY).Mirror is Mirror


def test_a_running_node_takes_them_into_use_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "PAYS_FROM", 3)
    monkeypatch.setattr(kernels, "LOOK_S", 0.01)
    (port,) = free_ports(1, "127.0.0.1")

    async def scenario() -> tuple[int, int]:
        async with running(tmp_path, OLD_KEY, port) as node:
            first, _ = await node.issuance.issue(Data("note", b"1"))
            await wait_until(lambda: isinstance(node.core.weights, Mirror), "no kernels", 60.0)
            assert node.issuance.find_nonce is import_module(READY).work_kernel.find_nonce
            second, _ = await node.issuance.issue(Data("note", b"2"))
            return node.core.weights.weight(first), node.core.weights.weight(second)

    assert asyncio.run(scenario()) == (2, 1)
