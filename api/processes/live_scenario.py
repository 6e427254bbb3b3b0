"""Runs a scenario through a real network: a coordinator and three edge nodes, made for it.

The steps are those of the pure run. Each is issued at the next edge node in turn, waited for until
all nodes have applied it, and asked about on every node.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from api.client.answers import EventAnswer, TransactionAnswer
from api.client.issuing import FINAL_STATES, signed_item
from api.client.node_client import NodeClient
from api.client.polling import poll
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.network.init import Tools, create_network
from api.network.plan import Founders, Wishes, make_plan, ports_needed
from api.network.ports import free_ports
from api.processes.children import ProcessEvent, Surroundings, supervised
from api.processes.up_network import assemble
from api.settings.layout import Layout, load_network
from api.settings.records import LOOPBACK
from energy.market.trades import TRADED
from energy.scenarios.file import Act, Scenario, Step, Wait
from energy.scenarios.run import (
    REMARK,
    Difference,
    Report,
    compare,
    founders,
    judge,
    parameter_vote,
)
from energy.scenarios.world import Script, cast
from energy.units import ENT, PRICE, render
from tangle.address import encode_address
from tangle.errors import InvalidError
from tangle.outcomes import Reason, State
from tangle.transaction import Operation, TransactionId, transaction_id

NOT_FOUND: Final = 404
FINAL_S: Final = 60.0
"""How long a step may take until all nodes have applied it."""

WAITING_SCALE: Final = 60
"""Ledger seconds per second where a scenario waits: an hour takes a minute."""


@dataclass
class _Live:
    nodes: tuple[NodeClient, ...]
    script: Script
    addresses: Mapping[str, str]
    """Text form by name."""

    scale: int
    turns: int = 0
    trades: list[list[str]] = field(default_factory=list)


def run_live(scenario: Scenario, folder: Path, tell: Callable[[str], None]) -> Report:
    """Make a network in `folder`, run all steps until one does not hold, and stop it.

    Args:
        scenario: What to do, and what to expect.
        folder: Empty, or not there.
        tell: Told of each step.

    Raises:
        CommandError: A node did not start, or a step came to no end.
        InvalidError: A step cannot be written as an operation.
    """
    layout = Layout(folder)
    has_waits = any(isinstance(step, Wait) for step in scenario.steps)
    scale = WAITING_SCALE if has_waits else 1
    wishes = Wishes(edges=3, homes=1, time_scale=scale)
    plan = make_plan(wishes, time.time_ns() // 10**6, free_ports(ports_needed(wishes), LOOPBACK))
    identities, allocations = founders(scenario)
    people = Founders(tuple(identities), tuple(allocations))
    create_network(layout, replace(plan, founders=people), {}, Tools(os.urandom, Path.touch))
    return asyncio.run(_run(scenario, layout, scale, tell))


async def _run(
    scenario: Scenario, layout: Layout, scale: int, tell: Callable[[str], None]
) -> Report:
    network = assemble(layout, load_network(layout), {}, lambda _: 0)
    _, nodes, *_ = network.stages  # a scenario needs neither broker nor meters

    def started(event: ProcessEvent) -> None:
        tell(f"{event.name} {event.phase}")

    around = Surroundings(lambda: time.monotonic_ns() // 10**6, started)
    refusal: InvalidError | None = None
    async with supervised((nodes,), around):
        clients = tuple(NodeClient(url) for url in network.urls)
        try:
            return await asyncio.to_thread(_play, scenario, clients, scale, tell)
        except InvalidError as error:
            refusal = error  # raised below: a task group would wrap it
    raise refusal


def _play(
    scenario: Scenario, nodes: tuple[NodeClient, ...], scale: int, tell: Callable[[str], None]
) -> Report:
    people = cast(scenario)
    texts = {name: encode_address(address) for name, address in people.addresses.items()}
    live = _Live(nodes, Script(people), texts, scale)
    for name, value in scenario.parameters.items():
        answer = _issued(live, parameter_vote(scenario.voter, name, value))
        if answer.state != State.APPLIED:
            raise InvalidError(f"[network] parameters: {name} = {value!r}: {answer.reason}")
    for at, step in enumerate(scenario.steps):
        difference = _step(live, step)
        tell(f"step {step.number} {'differs' if difference else 'holds'} {step.text}".rstrip())
        if difference is not None:
            return Report(scenario.name, at, difference)
    return Report(scenario.name, len(scenario.steps), None)


def _step(live: _Live, step: Step) -> Difference | None:
    difference: Difference | None = None
    match step:
        case Wait():
            _pass_time(live, step.duration_ms)
        case Act():
            answer = _issued(live, step)
            difference = judge(step, _reason(answer), _remark(answer.events))
            live.trades += [_trade(live, event) for event in answer.events if event.name == TRADED]
    if difference is not None:
        return difference
    for node in live.nodes:
        for expected in step.expect:
            found = _ask(live, node, expected.key)
            difference = compare(step.number, expected.key, expected.answer, found)
            if difference is not None:
                return difference
    return None


def _issued(live: _Live, step: Act) -> TransactionAnswer:
    """Issue a step at the next edge node, and return what became of it once all nodes know."""
    _, *edges = live.nodes
    node = edges[live.turns % len(edges)]
    live.turns += 1
    key = live.script.cast.keys[step.by]
    now_ms = node.info().ledger_time_ms
    payload = live.script.payload(step, now_ms)
    if not isinstance(payload, Operation):
        raise InvalidError(f"step {step.number}: {step.do} runs on the pure ledger only")
    deadline_s = time.monotonic() + FINAL_S
    sequence = live.script.sequence(step)
    transaction, item = signed_item(node, key, payload, sequence, deadline_s)
    node.submit(item)
    tx_id = transaction_id(transaction)
    if step.label is not None:
        live.script.orders[step.label] = tx_id
    return _final(live, tx_id)


def _final(live: _Live, tx_id: TransactionId) -> TransactionAnswer:
    """Return what became of a transaction, once every node has applied the same milestone.

    Raises:
        CommandError: It took too long.
    """
    deadline_s = time.monotonic() + FINAL_S
    found: list[TransactionAnswer] = []
    for node in live.nodes:
        answer = poll(partial(_final_at, node, tx_id), deadline_s - time.monotonic())
        if answer is None:
            raise CommandError(
                Failure(
                    FailureCode.NOT_CONFIRMED,
                    ExitCode.TIMED_OUT,
                    f"transaction {tx_id.hex()} is not final at {node.url}",
                    f"nothing was decided in {FINAL_S:.0f} s",
                    f"ask it with: tanglewatt explore {tx_id.hex()} --node {node.url}",
                )
            )
        found.append(answer)
    return found[0]


def _final_at(node: NodeClient, tx_id: TransactionId) -> TransactionAnswer | None:
    """Return what became of a transaction on a node; nothing while that is not decided there."""
    if node.ask("GET", f"/api/v1/transactions/{tx_id.hex()}").status == NOT_FOUND:
        return None  # it has not come there yet
    answer = node.transaction(tx_id.hex())
    return answer if answer.state in FINAL_STATES else None


def _pass_time(live: _Live, duration_ms: int) -> None:
    """Wait until a milestone of every node stands so much later in ledger time.

    Raises:
        CommandError: It took too long.
    """
    until_ms = max(node.info().confirmed_at_ms for node in live.nodes) + duration_ms

    def reached() -> int | None:
        at_ms = min(node.info().confirmed_at_ms for node in live.nodes)
        return at_ms if at_ms >= until_ms else None

    if poll(reached, duration_ms / live.scale / 1_000 + FINAL_S) is None:
        raise CommandError(
            Failure(
                FailureCode.NOT_CONFIRMED,
                ExitCode.TIMED_OUT,
                f"ledger time {until_ms} ms is not reached",
                "the coordinator issues no milestones, or a node does not get them",
                "look into their logs",
            )
        )


def _ask(live: _Live, node: NodeClient, key: str) -> str | Sequence[object]:
    """Ask a node in the names of the scenario."""
    if key == "trades":
        return [list(one) for one in live.trades]
    words = [live.addresses.get(word, word) for word in key.split(".")]
    asked = ".".join(words)
    answer = node.query([asked]).answers[asked]
    names = {text: name for name, text in live.addresses.items()}
    if isinstance(answer, str):
        return names.get(answer, answer)
    return [
        names.get(one, one) if isinstance(one, str) else [names.get(word, word) for word in one]
        for one in answer
    ]


def _reason(answer: TransactionAnswer) -> Reason | None:
    return None if answer.reason is None else Reason(answer.reason)


def _remark(events: Sequence[EventAnswer]) -> Reason | None:
    for event in events:
        if event.name == REMARK:
            return Reason(str(event.fields["remark"]))
    return None


def _trade(live: _Live, event: EventAnswer) -> list[str]:
    names = {text: name for name, text in live.addresses.items()}
    fields = event.fields
    return [
        names[str(fields["buyer"])],
        names[str(fields["seller"])],
        render(int(fields["amount_uent"]), ENT),
        render(int(fields["price_ueur"]), PRICE),
    ]
