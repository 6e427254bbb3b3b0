"""The made-up community at work: all of it applied, the same from the same seed, nothing lost."""

from collections import Counter
from random import Random

from energy.locked import total, total_energy_wh
from energy.units import UENT_PER_WH
from energy.workload import SHARES, TOKENS_PER_MEMBER, Issued, People, Workload, people, start_rows
from tangle.accounts import Token
from tangle.address import address_of
from tangle.contracts import Changed, Context
from tangle.outcomes import Reason
from tangle.rows import Draft, Rows
from tangle.transaction import TransactionId
from tests.community import CONTRACTS


def apply_all(draft: Draft, work: list[Issued]) -> Counter[str]:
    """Apply operations in order; return how many of each contract."""
    names = Counter[str]()
    for position, (issuer, operation) in enumerate(work):
        tx_id = TransactionId(position.to_bytes(32, "big"))
        context = Context(issuer, address_of(issuer), tx_id, 1, 1_000, position)
        contract = CONTRACTS[operation.contract]
        decided = contract.apply(draft, contract.decode(operation.call), context)
        assert isinstance(decided, Changed), f"{operation}: {decided}"
        assert not any(Reason.UNIT_EMPTY in dict(one.fields).values() for one in decided.events)
        draft.put(decided.changes)
        names[operation.contract] += 1
    return names


def community(seed: int) -> tuple[People, Draft, Workload]:
    rng = Random(seed)
    those = people(25, rng)
    return those, Draft(Rows(start_rows(those))), Workload(those, rng)


def test_all_of_it_is_applied_and_tokens_stay_what_energy_there_is() -> None:
    _, draft, work = community(1)
    before = total(draft, Token.EEURO)

    names = apply_all(draft, work.mix(4_000))

    assert set(names) == {"energy", "transfer", "market", "ctt"}
    assert sum(SHARES.values()) == 100
    assert abs(names["energy"] - 2_000) < 200
    assert abs(names["ctt"] - 400) < 100
    assert total(draft, Token.ENT) == UENT_PER_WH * total_energy_wh(draft)
    assert total(draft, Token.EEURO) == before


def test_one_kind_alone_is_applied_too() -> None:
    for kind in SHARES:
        _, draft, work = community(2)

        assert sum(apply_all(draft, work.mix(200, (kind,))).values()) == 200


def test_the_same_seed_gives_the_same_work() -> None:
    first, second = community(3)[2], community(3)[2]

    assert first.mix(300) == second.mix(300)


def test_everyone_has_a_meter_tokens_and_a_battery() -> None:
    those, draft, _ = community(4)

    assert len(those.meters) == len(those.members) == 25
    assert len(those.units) == 2
    assert len(list(draft.walk(b"ctt/token/"))) == 25 * TOKENS_PER_MEMBER
