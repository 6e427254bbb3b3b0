"""The collection is made by more than half of the voters, not by the first of them."""

from energy.ctt.calls import Create
from energy.ctt.rows import PROPOSAL_PREFIX, Proposal, collection, decode_ctt_row
from tangle.accounts import NO_ADDRESS, Identity, identity_key
from tangle.codec import encode
from tangle.keys import SigningKey
from tangle.outcomes import Reason
from tests.community import VOTER, key
from tests.energy.ctt.world import ADMIN, BOB, OPERATOR, World, address, empty_world

CREATE = Create(address(ADMIN), address(OPERATOR), 10, 1, 0)
FAVOUR = Create(address(BOB), address(OPERATOR), 10, 1, 0)
SECOND, THIRD = key(801), key(802)


def set_role(world: World, voter: SigningKey, role: str) -> None:
    row = Identity(voter.public, role, NO_ADDRESS, NO_ADDRESS)
    world.rows.put({identity_key(address(voter)): encode(row)})


def three_voters() -> World:
    world = empty_world()
    set_role(world, SECOND, "voter")
    set_role(world, THIRD, "voter")
    return world


def test_a_collection_needs_more_than_half_of_the_voters_on_the_same_terms() -> None:
    world = three_voters()

    assert world.call(VOTER, FAVOUR) is None
    assert (world.events[0].name, world.said("in_favour")) == ("ctt.proposed", 1)
    assert world.call(VOTER, FAVOUR) is None, "again is no second voice"
    assert world.call(SECOND, CREATE) is None
    assert collection(world.rows) is None
    assert world.call(VOTER, CREATE) is None

    made = collection(world.rows)
    assert made is not None
    assert made.admin == address(ADMIN)
    assert list(world.rows.scan(PROPOSAL_PREFIX)) == []
    assert world.call(THIRD, FAVOUR) is Reason.NOT_ALLOWED


def test_half_of_the_voters_is_not_enough_for_a_collection() -> None:
    world = three_voters()
    set_role(world, THIRD, "member")

    assert world.call(VOTER, CREATE) is None

    assert collection(world.rows) is None
    assert world.call(SECOND, CREATE) is None
    assert collection(world.rows) is not None


def test_who_votes_no_more_does_not_count_for_a_collection() -> None:
    world = three_voters()
    assert world.call(SECOND, FAVOUR) is None
    set_role(world, SECOND, "member")
    fourth = key(803)
    set_role(world, fourth, "voter")

    assert world.call(VOTER, FAVOUR) is None

    assert collection(world.rows) is None
    assert world.call(SECOND, FAVOUR) is Reason.NOT_ALLOWED
    assert world.call(THIRD, FAVOUR) is None
    assert collection(world.rows) is not None


def test_a_proposal_can_be_read_by_people() -> None:
    world = three_voters()
    assert world.call(VOTER, FAVOUR) is None

    (row,) = world.rows.scan(PROPOSAL_PREFIX)

    proposal = decode_ctt_row(*row)
    assert isinstance(proposal, Proposal)
    assert proposal.admin == address(BOB)
