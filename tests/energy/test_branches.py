"""Operations of the energy layer in branches of the tangle give one state on all nodes.

Reports, sessions, orders and transfers that stand in each other's way: which of them
count is decided by the milestone's order, not by the order of arrival.
"""

from collections.abc import Iterable
from random import Random
from typing import Final

from hypothesis import event, given
from hypothesis import strategies as st

from energy.governance.acts import RegisterUnit, Vote
from energy.governance.contract import vote_operation
from energy.market.contract import Buy, Sell, market_operation
from energy.market.pricing import LOT_UENT
from energy.powerchain.calls import Consumed, OpenSession, Produced, energy_operation
from energy.transfer import TransferEeuro, TransferEnt, transfer_operation
from energy.units import UENT_PER_ENT
from tangle.address import address_of
from tangle.effects import Confirmed, Effect
from tangle.genesis import entry_points
from tangle.keys import SigningKey
from tangle.outcomes import Applied, Ignored, Outcome
from tangle.transaction import Operation, TransactionId
from tangle.verification import Verified
from tests.community import VOTER, Maker, community, member_key
from tests.tangle.cores import ALICE, BOB, at, fresh_core, milestone

NODES: Final = 3
MEMBERS: Final = tuple(member_key(number) for number in range(3))
UNIT: Final = member_key(3)
GENESIS: Final = community(members=4)
MAKE: Final = Maker(GENESIS)
ENTRIES: Final = entry_points(GENESIS)
CHARGED_WH: Final = 3_000

Kinds = st.sampled_from(("produced", "consumed", "session", "sell", "buy", "give", "pay"))
Acts = st.lists(st.tuples(Kinds, st.integers(0, 2), st.integers(1, 6)), min_size=4, max_size=24)


def act_of(kind: str, member: int, size: int) -> tuple[SigningKey, Operation]:
    """Return who does what; sizes are such that not all of it can be done."""
    whom, who = address_of(MEMBERS[member].public), MEMBERS[member]
    amount_uent, energy_wh = size * UENT_PER_ENT // 2, size * 500
    other = address_of(MEMBERS[(member + 1) % len(MEMBERS)].public)
    unit = address_of(UNIT.public)
    lots_uent = amount_uent // LOT_UENT * LOT_UENT
    acts: dict[str, tuple[SigningKey, Operation]] = {
        "produced": (UNIT, energy_operation(Produced(whom, energy_wh))),
        "consumed": (UNIT, energy_operation(Consumed(whom, energy_wh))),
        "session": (who, energy_operation(OpenSession(unit, amount_uent))),
        "sell": (who, market_operation(Sell(lots_uent, 100_000 + size))),
        "buy": (who, market_operation(Buy(lots_uent, 200_000 + size))),
        "give": (who, transfer_operation(TransferEnt(other, amount_uent))),
        "pay": (who, transfer_operation(TransferEeuro(other, size * 200_000))),
    }
    return acts[kind]


class Issued:
    """What everybody has issued so far, each with own numbers."""

    def __init__(self) -> None:
        self.made: list[Verified] = []
        self._sequences: dict[SigningKey, int] = {}

    def issue(
        self, key: SigningKey, operation: Operation, parents: tuple[TransactionId, ...]
    ) -> Verified:
        sequence = self._sequences.get(key, 0)
        self._sequences[key] = sequence + 1
        self.made.append(MAKE.transaction(key, sequence, parents, operation))
        return self.made[-1]


@given(Acts, st.randoms(use_true_random=False))
def test_operations_in_branches_give_one_state_in_whatever_order_they_come(
    acts: list[tuple[str, int, int]], rng: Random
) -> None:
    cores = [fresh_core(GENESIS) for _ in range(NODES)]
    issued = Issued()
    register = RegisterUnit(address_of(UNIT.public), address_of(MEMBERS[0].public), 6_000)
    charge = [Produced(address_of(one.public), CHARGED_WH // 3) for one in MEMBERS]
    founding = [(VOTER, vote_operation(Vote(register, yes=True)))]
    founding += [(UNIT, energy_operation(one)) for one in charge]
    for ms, (key, operation) in enumerate(founding, 1):
        done = issued.issue(key, operation, ENTRIES)
        for core in cores:
            core.receive(ALICE, done.data, at(ms))
        one = milestone(cores[0], [done.tx_id], 10 * ms)
        results = [core.receive(BOB, one.data, at(10 * ms)) for core in cores]
        assert all(isinstance(confirmed(each)[done.tx_id], Applied) for each in results)

    known = [*ENTRIES, *(one.tx_id for one in issued.made)]
    branched: list[Verified] = []
    for kind, member, size in acts:
        parents = tuple(rng.sample(known[-6:], 2))
        branched.append(issued.issue(*act_of(kind, member, size), parents))
        known.append(branched[-1].tx_id)
    for core in cores:
        for one in rng.sample(branched, len(branched)):
            core.receive(ALICE, one.data, at(500))
    last = milestone(cores[0], sorted(cores[0].graph.tips)[:7], 1_000)
    outcomes = [confirmed(core.receive(BOB, last.data, at(1_000))) for core in cores]

    event(f"some refused: {any(isinstance(one, Ignored) for one in outcomes[0].values())}")
    assert len(outcomes[0]) > 0
    assert all(one == outcomes[0] for one in outcomes)
    assert len({core.state_root for core in cores}) == 1
    assert list(cores[0].ledger.rows.scan(b"")) == list(cores[-1].ledger.rows.scan(b""))


def confirmed(effects: Iterable[Effect]) -> dict[TransactionId, Outcome]:
    """Return what became of each transaction that a milestone confirmed."""
    (found,) = [one for one in effects if isinstance(one, Confirmed)]
    return dict(found.outcomes)
