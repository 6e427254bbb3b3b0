"""What the ledger refuses of grants and vaults, and what its rows say."""

import msgspec
import pytest

from access.codes import Code
from access.contract import CONTRACT, access_operation, decoder
from access.identity.claiming import bind_call
from access.identity.life_cycle import BindStatement, bind_message
from access.requests.granting import (
    MAX_GRANT_MS,
    AcknowledgeRevocation,
    RegisterGrant,
    RevokeGrant,
    revocation_status,
)
from access.requests.records import grant, salt_hash
from access.rows import decode_access_row
from access.streams.rules import OpenStream
from access.streams.stream import stream
from access.threshold import feldman
from access.vaults.dealing import HeldShare, ShareDelivery, ShareStatement, share_message
from access.vaults.rules import Complain, Deal
from access.vaults.vault import vault
from tangle.codec import encode
from tangle.errors import MalformedBytesError
from tangle.outcomes import Reason
from tangle.rows import Draft
from tests.access.test_attacks_approvers import opened, vote
from tests.access.world import (
    COHORT,
    DAY_MS,
    GENESIS_HASH,
    METER,
    NEIGHBOUR,
    NODE_KEYS,
    NOW_MS,
    OWNER,
    SLOT_MS,
    STRANGER,
    SUBJECT,
    K,
    World,
    address,
    new_world,
)


def registration(world: World, **changed: object) -> RegisterGrant:
    usual = RegisterGrant(
        salt_hash(bytes(32)), bytes(32), world.vault, 3, NOW_MS + DAY_MS, address(OWNER), None
    )
    return msgspec.structs.replace(usual, **changed)


def test_a_grant_is_registered_by_the_rules() -> None:
    world = new_world(chunks=0)
    commitments = feldman.commit(
        feldman.new_polynomial(K, world.rng.randbytes(feldman.entropy_size(K)))
    )
    world.must(world.do(Deal(COHORT, 1, 1, commitments), OWNER))
    pending = next(
        key.removeprefix(b"access/vault/")
        for key, _ in world.rows.scan(b"access/vault/")
        if not key.endswith(world.vault)
    )
    refused = [
        (registration(world), STRANGER, Reason.NOT_ALLOWED),
        (registration(world, vault=bytes(32)), OWNER, Reason.NO_SUCH_OBJECT),
        (registration(world, parent=bytes(32)), OWNER, Reason.NO_SUCH_OBJECT),
        (registration(world, vault=pending), OWNER, Reason.NOT_ACTIVE),
        (registration(world, k=2), OWNER, Reason.OUT_OF_RANGE),
        (registration(world, k=6), OWNER, Reason.OUT_OF_RANGE),
        (registration(world, not_after_ms=NOW_MS), OWNER, Reason.OUT_OF_RANGE),
        (registration(world, not_after_ms=NOW_MS + MAX_GRANT_MS + 1), OWNER, Reason.OUT_OF_RANGE),
    ]
    for call, issuer, reason in refused:
        assert world.do(call, issuer) is reason
    world.must(world.do(registration(world, not_after_ms=NOW_MS + MAX_GRANT_MS), OWNER))
    assert world.do(registration(world), OWNER) is Reason.EXISTS


def test_a_grant_that_is_passed_on_names_a_living_parent_of_the_same_vault() -> None:
    world = new_world(chunks=0)
    parent = world.granted()
    identifier = world.id_of(parent)
    other = world.deal(feldman.new_polynomial(K, world.rng.randbytes(feldman.entropy_size(K))), 1)

    foreign = registration(world, parent=identifier, vault=other)
    assert world.do(foreign, SUBJECT) is Reason.OUT_OF_RANGE
    world.must(world.do(registration(world, parent=identifier), SUBJECT))
    world.must(world.revoke(parent))
    late = registration(world, parent=identifier, salt_hash=bytes(32))
    assert world.do(late, SUBJECT) is Reason.REVOKED


def test_nobody_takes_the_id_of_somebody_elses_grant() -> None:
    world = new_world(chunks=0)
    parent = world.granted()
    call = registration(world)

    # a copy of a grant that is on its way, entered first as if it were passed on
    copied = msgspec.structs.replace(call, parent=world.id_of(parent))
    world.must(world.do(copied, STRANGER))

    world.must(world.do(call, OWNER))


def test_a_named_revoker_revokes_and_only_nodes_acknowledge() -> None:
    world = new_world(chunks=0)
    shown = world.registered(world.signed(world.dact()), revoker=address(STRANGER))
    identifier = world.id_of(shown)
    held = grant(world.rows, identifier)
    assert held is not None
    node = NODE_KEYS[0]

    assert revocation_status(held, 3, 5) == "none"
    assert world.do(AcknowledgeRevocation(identifier), node) is Reason.NOT_ACTIVE
    assert world.do(AcknowledgeRevocation(bytes(32)), node) is Reason.NO_SUCH_OBJECT
    assert world.do(RevokeGrant(bytes(32), "why"), OWNER) is Reason.NO_SUCH_OBJECT
    world.must(world.revoke(shown, STRANGER))
    assert world.do(AcknowledgeRevocation(identifier), OWNER) is Reason.NOT_ALLOWED


def test_a_chunk_of_another_vault_cannot_be_requested() -> None:
    world = new_world(chunks=2)
    new = world.deal(feldman.new_polynomial(K, world.rng.randbytes(feldman.entropy_size(K))), 1)
    shown = world.registered(world.signed(world.dact()), vault=new)

    _, call = world.drafted(shown)

    assert world.do(call) is Reason.WRONG_VAULT


def test_a_document_of_another_network_is_refused() -> None:
    world = new_world()
    shown = world.registered(world.signed(world.dact(genesis_hash=bytes(32))))

    assert world.code(world.ask(world.request(shown))) is Code.DENY_SIG


def test_a_document_for_a_vault_that_is_not_there_is_refused() -> None:
    world = new_world()
    resource = msgspec.structs.replace(world.dact().resource, vault=bytes(32))
    shown = world.registered(world.signed(world.dact(resource=resource)))

    assert world.code(world.ask(world.request(shown))) is Code.DENY_OWNER


def test_a_complaint_about_a_refresh_leaves_the_vault_as_it_was() -> None:
    world = new_world(chunks=0)
    new = feldman.refreshed_polynomial(
        world.polynomial, world.rng.randbytes(feldman.entropy_size(K))
    )
    world.must(world.do(Deal(COHORT, 1, 2, feldman.commit(new)), OWNER))
    wrong = ShareStatement(world.vault, 2, 1, feldman.deal(world.polynomial, 1))
    delivery = ShareDelivery(wrong, OWNER.sign(share_message(wrong)))

    world.must(world.do(Complain(delivery)))

    held = vault(world.rows, world.vault)
    assert held is not None
    assert held.sharing is not None
    assert (held.state, held.pending, held.sharing.number) == ("active", None, 1)
    assert world.do(Complain(delivery)) is Reason.NOT_ACTIVE


def test_a_share_is_not_printed() -> None:
    held = HeldShare(1, 1, b"\x07" * 32)

    assert repr(held) == "HeldShare(index=1, number=1)"


# Rows and bytes.


def test_every_row_says_what_it_is() -> None:
    world = new_world()
    world.request(world.granted())
    transaction = opened(world)
    world.must(world.do(vote(transaction, 1)))
    world.must(world.do(vote(transaction, 1, yes=0)))
    made = Draft(world.rows)
    made.put({b"access/chunk/" + bytes(32) + b"/" + bytes(8): encode([])})

    kinds = {
        type(decode_access_row(key, value)).__name__
        for prefix in (b"access/", b"cohort/", b"device/")
        for key, value in made.scan(prefix)
    }

    assert kinds == {
        *("Vault", "Stream", "Chunk", "Erased", "Grant", "Uses", "Request"),
        *("Approval", "Equivocation", "Due", "Cohort", "Idot"),
    }
    assert decode_access_row(b"balance/x", b"") is None


@pytest.mark.parametrize(
    "key",
    [
        *(b"access/vault/", b"access/stream/", b"access/chunk/", b"access/grant/"),
        *(b"access/uses/", b"access/request/", b"access/approval/", b"access/equivocation/"),
        *(b"access/deadline/", b"cohort/", b"device/idot/", b"device/bound/"),
    ],
)
def test_a_row_that_is_none_is_refused(key: bytes) -> None:
    with pytest.raises(MalformedBytesError):
        decode_access_row(key, b"\xc1")


def test_a_call_is_read_as_it_was_written() -> None:
    world = new_world()
    _, call = world.drafted(world.granted())

    assert decoder.decode(access_operation(call).call) == call
    assert access_operation(call).contract == CONTRACT.name


@pytest.mark.parametrize("chunks", [(), (1, 1), (2, 1), tuple(range(129)), (-1,)])
def test_a_request_names_its_chunks_in_order_and_not_too_many(chunks: tuple[int, ...]) -> None:
    world = new_world()
    _, call = world.drafted(world.granted())
    whole = msgspec.msgpack.decode(encode(call))
    whole[1][4] = list(chunks)

    with pytest.raises(MalformedBytesError):
        decoder.decode(encode(whole))


def test_a_device_that_changed_hands_seals_nothing_for_the_owner_before() -> None:
    world = new_world(chunks=1)
    label, sealed = world.label(0), world.sealed[0]
    said = BindStatement(GENESIS_HASH, address(METER), address(NEIGHBOUR), 1)
    proof = METER.sign(bind_message(said))
    world.must(world.device(bind_call(said, NEIGHBOUR, proof, OWNER)))
    later = msgspec.structs.replace(label, number=1)

    assert world.do(world.chunk_call(later, sealed)) is Reason.NOT_ALLOWED
    mine = world.deal(
        feldman.new_polynomial(K, world.rng.randbytes(feldman.entropy_size(K))), 1, NEIGHBOUR
    )
    world.must(world.do(OpenStream(address(METER), "15min", SLOT_MS, mine, DAY_MS), NEIGHBOUR))

    held = stream(world.rows, world.stream)
    assert held is not None
    assert (held.owner, held.vault, held.previous_vault) == (address(NEIGHBOUR), mine, None)
    assert world.do(world.chunk_call(later, sealed)) is Reason.WRONG_VAULT
