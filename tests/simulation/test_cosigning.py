"""Three of four sign: one may lie or be down; with two down nothing is confirmed, until they are
back."""

import os

import pytest

from tangle.accounts import coordinators
from tangle.verification import parse, verify_milestone_signatures
from tests.simulation.cosigned import SIGNERS, Character, CoSignedWorld
from tests.simulation.test_network import verify_outcome
from tests.simulation.weather import CALM

SEEDS = max(2, int(os.environ.get("TANGLEWATT_SEEDS", "200")) // 50)


def verify_signing(world: CoSignedWorld) -> None:
    """Check that every milestone has its quorum, and that the honest signed once per index."""
    said = f"seed {world.seed}"
    keys = coordinators(world.nodes[0].core.ledger.rows)
    for confirmed in world.nodes[0].milestones:
        data = world.nodes[0].stored[confirmed.milestone_id].data
        verify_milestone_signatures(parse(data), keys)
    assert world.signed, said
    for (number, index), ids in world.signed.items():
        assert len(ids) == 1, f"{said}: node {number} signed {len(ids)} of index {index}"


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("character", Character)
def test_one_co_signer_whatever_it_does_neither_stops_nor_splits_the_ledger(
    seed: int, character: Character
) -> None:
    world = CoSignedWorld(seed, {2: character})

    world.run()

    verify_outcome(world, least=3)
    verify_signing(world)
    if character is Character.SIGNS_TWO:
        assert any("the leader is" in one for one in world.refusals)


@pytest.mark.parametrize("seed", range(2))
def test_one_co_signer_may_be_down(seed: int) -> None:
    world = CoSignedWorld(seed, weather=CALM)
    world.stop(world.nodes[3], 12_000)

    world.run_until(11_000)
    confirmed = world.nodes[0].core.confirmed_index
    world.run()

    assert confirmed >= 4
    verify_outcome(world, least=3)
    verify_signing(world)


@pytest.mark.parametrize("seed", range(2))
def test_with_two_down_confirmation_stops_and_goes_on_by_itself(seed: int) -> None:
    world = CoSignedWorld(seed, weather=CALM)
    world.run_until(4_500)
    before = world.nodes[0].core.confirmed_index
    for number in (1, 3):
        world.stop(world.nodes[number], 8_000)

    world.run_until(12_000)
    during, awaited = world.nodes[0].core.confirmed_index, world.issuer.awaited
    world.run()

    assert 1 <= before <= during <= before + 1  # one was under way
    assert set(awaited) == {SIGNERS[1].public, SIGNERS[3].public}
    verify_outcome(world, least=3)
    verify_signing(world)
