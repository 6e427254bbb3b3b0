"""What is signed for one thing passes for nothing else, and nobody brings a capsule along."""

import itertools
from typing import Final

import msgspec

from access.approval.session import Agreement, agreement_message
from access.approval.voting import Ballot, CastVote, ballot_message
from access.codes import Code
from access.identity.life_cycle import (
    BindStatement,
    KeyStatement,
    bind_message,
    key_message,
)
from access.matching.certification import Remember
from access.matching.message import ask_message, read_ask
from access.matching.serving import Fetch, fetch_message
from access.requests.receipt import receipt_message
from access.requests.requesting import request_message
from access.streams.rules import chunk_message
from access.tokens.dact import acceptance_message, grant_message
from access.tokens.evidence import presence_message
from access.vaults.dealing import ShareStatement, share_message
from tangle.codec import encode
from tangle.keys import SigningKey
from tangle.outcomes import Reason
from tests.access.test_attacks_approvers import AGREEMENT, PROOF, opened
from tests.access.world import (
    COHORT,
    GENESIS_HASH,
    METER,
    NODE_KEYS,
    NODES,
    OWNER,
    SUBJECT,
    World,
    address,
    keys_of,
    new_world,
)

NOTHING: Final = bytes(32)


def signed_messages(world: World) -> dict[str, bytes]:
    """Return one message of each kind that a key signs."""
    dact = world.dact()
    made, call = world.drafted(world.granted())
    ask = read_ask(world.ask(made)).ask
    remember, _ = world.nodes[0].receive(b"", world.vantage(1), bytes(64))
    assert isinstance(remember, Remember)
    receipt = remember.receipt.receipt
    chunk = world.chunk_call(world.label(1), world.sealed[1])
    agreement: Agreement = AGREEMENT
    return {
        "grant": grant_message(dact),
        "acceptance": acceptance_message(dact),
        "request": request_message(call.body),
        "ask": ask_message(ask),
        "receipt": receipt_message(receipt),
        "chunk": chunk_message(GENESIS_HASH, chunk.body),
        "presence": presence_message(world.presence().presence),
        "fetch": fetch_message(Fetch(GENESIS_HASH, NODES[0], NOTHING, 0, (), NOTHING)),
        "share": share_message(ShareStatement(NOTHING, 1, 1, NOTHING)),
        "ballot": ballot_message(Ballot(GENESIS_HASH, NOTHING, PROOF, 1, NODES[0], COHORT, 1, 1)),
        "agreement": agreement_message(agreement),
        "keys": key_message(KeyStatement(GENESIS_HASH, address(METER), keys_of(METER), 0)),
        "binding": bind_message(BindStatement(GENESIS_HASH, address(METER), address(OWNER), 1)),
    }


def test_attack_d6_every_kind_of_message_starts_as_no_other() -> None:
    prefixes = {
        name: message.partition(b"\0")[0] for name, message in signed_messages(new_world()).items()
    }

    assert all(one.startswith(b"tanglewatt/") for one in prefixes.values())
    for one, other in itertools.combinations(prefixes, 2):
        assert prefixes[one] != prefixes[other]


def test_attack_d6_no_other_signature_of_a_node_makes_a_vote() -> None:
    world = new_world()
    transaction = opened(world)
    ballot = Ballot(GENESIS_HASH, transaction, PROOF, 1, NODES[0], COHORT, 1, 1)
    node = NODE_KEYS[0]

    for name, message in signed_messages(world).items():
        vote = CastVote(ballot, node.sign(message))
        assert world.do(vote) is Reason.BAD_PROOF, name
    world.must(world.do(CastVote(ballot, node.sign(ballot_message(ballot)))))


def test_attack_d6_no_other_signature_of_a_subject_makes_a_request() -> None:
    world = new_world()
    _, call = world.drafted(world.granted())
    subject: SigningKey = SUBJECT

    for name, message in signed_messages(world).items():
        other = msgspec.structs.replace(call, signature=subject.sign(message))
        assert world.do(other) is Reason.BAD_PROOF, name


def test_attack_c2_an_ask_has_no_place_for_a_capsule() -> None:
    world = new_world()
    data = world.ask(world.request(world.granted()))
    ask, signature = msgspec.msgpack.decode(data)
    capsule = world.sealed[0].capsule

    for brought in (
        encode([[*ask, capsule], signature]),
        encode([ask, signature, capsule]),
        encode([[*ask[:-1], capsule], signature]),
    ):
        assert world.code(brought) is Code.DENY_PARSE
    assert world.code(data) is Code.ALLOW
