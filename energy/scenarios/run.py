"""Runs a scenario on the pure ledger: a milestone for each step, no network, milliseconds.

Whoever runs it elsewhere needs `compare`, which says where an answer differs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from energy.market.trades import Trade, trades_of
from energy.queries import Answer, Names, ask
from energy.scenarios.file import Act, Scenario, Step, Wait
from energy.scenarios.world import Script, cast
from energy.units import ENT, PRICE, render
from tangle.accounts import genesis_rows
from tangle.codec import encode
from tangle.contracts import Contracts
from tangle.errors import InvalidError
from tangle.genesis import (
    Allocation,
    Genesis,
    GenesisIdentity,
    Parameters,
    entry_points,
    network_id,
)
from tangle.keys import SIGNATURE_SIZE
from tangle.ledger import Ledger, LedgerRules, genesis_state
from tangle.outcomes import Applied, Event, Ignored, NoValue, Outcome, Reason
from tangle.transaction import (
    NONCE_SIZE,
    VERSION,
    IssuerWitness,
    Payload,
    SignedTransaction,
    Transaction,
    TransactionId,
)
from tangle.verification import Verified, parse

START_MS: Final = 1_700_000_000_000
"""Ledger time of the genesis: nothing in a scenario depends on it."""

STEP_MS: Final = 1_000
"""Ledger time from one step to the next."""

REMARK: Final = "energy.remark"
_QUANTITY: Final = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)( ?[A-Za-z/]*)")


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that came out otherwise."""

    step: int
    key: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run."""

    name: str
    steps: int
    """That held."""

    difference: Difference | None


def run_scenario(scenario: Scenario, contracts: Contracts) -> Report:
    """Run all steps until one of them does not hold.

    Args:
        scenario: What to do, and what to expect.
        contracts: The rules of the ledger.

    Raises:
        InvalidError: A step cannot be written as an operation; names the step and the field.
    """
    stage = _Stage(scenario, contracts)
    for name, value in scenario.parameters.items():
        stage.vote_parameter(name, value)
    for at, step in enumerate(scenario.steps):
        difference = stage.run(step)
        if difference is not None:
            return Report(scenario.name, at, difference)
    return Report(scenario.name, len(scenario.steps), None)


def scenario_genesis(scenario: Scenario, parameters: Parameters, now_ms: int) -> Genesis:
    """Return the genesis of a scenario, without a coordinator key: the caller has its own."""
    people = cast(scenario)
    identities = [
        GenesisIdentity(people.keys[name].public, role) for name, role in scenario.roles.items()
    ]
    allocations = [
        Allocation(people.addresses[name], amount)
        for name, amount in scenario.eeuro.items()
        if amount
    ]
    return Genesis(
        name="scenario",
        created_at_ms=now_ms,
        ledger_start_ms=now_ms,
        parameters=parameters,
        coordinator_keys=(people.keys[scenario.voter].public,),
        quorum=1,
        identities=tuple(sorted(identities, key=lambda one: one.key)),
        allocations=tuple(sorted(allocations, key=lambda one: one.address)),
    )


def compare(number: int, key: str, expected: object, found: Answer) -> Difference | None:
    """Return the difference between two answers, `None` if they mean the same.

    Quantities are compared as numbers of one unit, exactly; names of a list in any order.
    """
    if _meaning(key, expected) == _meaning(key, found):
        return None
    return Difference(number, key, _shown(expected), _shown(found))


def judge(step: Act, refused: Reason | None, remark: Reason | None) -> Difference | None:
    """Return the difference between what became of an operation and what had to."""
    for key, expected, found in (
        ("refused", step.refused, refused),
        ("remark", step.remark, remark),
    ):
        if expected is not found:
            return Difference(step.number, key, expected or "none", found or "none")
    return None


def remark_of(events: Sequence[Event]) -> Reason | None:
    """Return what an applied report was remarked with."""
    for event in events:
        if event.name == REMARK:
            return Reason(str(dict(event.fields)["remark"]))
    return None


def trade_records(trades: Sequence[Trade], names: Names) -> Answer:
    """Return trades as queries answer them: buyer, seller, amount, price."""
    return [
        [
            names.name(one.buyer),
            names.name(one.seller),
            render(one.amount_uent, ENT),
            render(one.price_ueur, PRICE),
        ]
        for one in trades
    ]


class _Stage:
    """The ledger while a scenario runs."""

    def __init__(self, scenario: Scenario, contracts: Contracts) -> None:
        genesis = scenario_genesis(scenario, Parameters(work_per_byte=0), START_MS)
        genesis_rows(genesis)  # refuses a genesis that breaks a rule
        self._network = network_id(genesis)
        self._parents = entry_points(genesis)
        self._ledger = Ledger(LedgerRules(contracts, is_open=False), genesis_state(genesis))
        self._voter = scenario.voter
        self._script = Script(cast(scenario))
        self._trades: list[Trade] = []

    def vote_parameter(self, name: str, value: str) -> None:
        """Let the one voter set a parameter. Raises `InvalidError` if the ledger refuses it."""
        fields = {"act": "set_parameter", "arguments": {"name": name, "value": value}}
        step = Act(0, "", self._voter, "governance.vote", fields, None, None, None, None, ())
        outcome = self._apply(step)
        if isinstance(outcome, Ignored):
            raise InvalidError(f"[network] parameters: {name} = {value!r}: {outcome.reason}")

    def run(self, step: Step) -> Difference | None:
        """Do one step, and compare."""
        difference: Difference | None = None
        match step:
            case Wait():
                self._milestone((), step.duration_ms)
            case Act():
                difference = self._judged(step, self._apply(step))
        if difference is not None:
            return difference
        for expected in step.expect:
            found = self._ask(expected.key)
            difference = compare(step.number, expected.key, expected.answer, found)
            if difference is not None:
                return difference
        return None

    def _ask(self, key: str) -> Answer:
        names = self._script.cast.names
        if key == "trades":
            return trade_records(self._trades, names)
        return ask(self._ledger.rows, key, names)

    def _judged(self, step: Act, outcome: Outcome) -> Difference | None:
        match outcome:
            case Ignored():
                return judge(step, outcome.reason, None)
            case Applied():
                self._trades.extend(trades_of(outcome.events))
                return judge(step, None, remark_of(outcome.events))
            case NoValue():
                raise AssertionError("an operation has an outcome of value")

    def _apply(self, step: Act) -> Outcome:
        now_ms = self._ledger.timestamp_ms + STEP_MS
        verified = self._issued(step, self._script.payload(step, now_ms), now_ms)
        if step.label is not None:
            self._script.orders[step.label] = verified.tx_id
        ((_, outcome),) = self._milestone((verified,), STEP_MS)
        return outcome

    def _issued(self, step: Act, payload: Payload, now_ms: int) -> Verified:
        """Return a transaction that carries no signature: the pure ledger asks for none."""
        transaction = Transaction(
            VERSION,
            self._network,
            self._parents,
            self._script.cast.keys[step.by].public,
            self._script.sequence(step),
            now_ms,
            payload,
        )
        witness = IssuerWitness(bytes(SIGNATURE_SIZE), bytes(NONCE_SIZE))
        return parse(encode(SignedTransaction(transaction, witness)))

    def _milestone(
        self, ordered: tuple[Verified, ...], passed_ms: int
    ) -> tuple[tuple[TransactionId, Outcome], ...]:
        ledger = self._ledger
        diff = ledger.preview(ordered, ledger.index + 1, ledger.timestamp_ms + passed_ms)
        ledger.commit(diff, TransactionId(diff.state_root))
        return diff.outcomes


def _meaning(key: str, answer: object) -> object:
    if isinstance(answer, list):
        parts = [_meaning("", one) for one in answer]
        return sorted(map(str, parts)) if key == "voters" else parts
    found = _QUANTITY.fullmatch(str(answer))
    return str(answer) if found is None else (Decimal(found[1]), found[2].strip())


def _shown(answer: object) -> str:
    if isinstance(answer, list):
        return "[" + ", ".join(_shown(one) for one in answer) + "]"
    return str(answer)
