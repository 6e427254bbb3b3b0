"""The device register: who may enter whom, and with which proof."""

import pytest

from access.device import (
    CONTRACT,
    Claim,
    Register,
    apply_device,
    claim_registration,
    register_operation,
)
from tangle.accounts import NO_ADDRESS, Identity, genesis_rows, identity
from tangle.address import Address, address_of
from tangle.codec import encode
from tangle.contracts import Changed, Context
from tangle.errors import MalformedBytesError
from tangle.genesis import genesis_hash
from tangle.keys import SigningKey
from tangle.outcomes import Event, Reason
from tangle.rows import Draft, Rows
from tangle.transaction import TransactionId
from tests.community import VOTER, community, edge_key, key, member_key, meter_key, with_parameters

GENESIS = community()
ROWS = Rows(genesis_rows(GENESIS))
METER = meter_key(0)
EDGE_ADDRESS = address_of(edge_key(0).public)
OTHER_EDGE = address_of(edge_key(1).public)
NOBODY = address_of(key(1).public)
OWNER = address_of(member_key(0).public)


def by(issuer: SigningKey) -> Context:
    return Context(issuer.public, address_of(issuer.public), TransactionId(bytes(32)), 1, 1_000)


def registration(
    device: SigningKey = METER,
    role: str = "meter",
    edge: Address = EDGE_ADDRESS,
    network: bytes = genesis_hash(GENESIS),
) -> Register:
    return claim_registration(Claim(network, device.public, role, OWNER, edge), device)


@pytest.mark.parametrize("sponsor", [edge_key(1), VOTER])
def test_a_sponsor_enters_a_meter(sponsor: SigningKey) -> None:
    changed = apply_device(ROWS, registration(), by(sponsor))

    assert isinstance(changed, Changed)
    after = Draft(ROWS)
    after.put(changed.changes)
    address = address_of(METER.public)
    assert identity(after, address) == Identity(METER.public, "meter", OWNER, EDGE_ADDRESS)
    assert changed.events == (
        Event(
            "device.registered",
            (("device", address), ("role", "meter"), ("sponsor", address_of(sponsor.public))),
        ),
    )
    assert apply_device(after, registration(), by(sponsor)) is Reason.DEVICE_KNOWN


def test_a_member_is_entered_without_an_edge() -> None:
    call = registration(key(1), "member", NO_ADDRESS)

    assert isinstance(apply_device(ROWS, call, by(VOTER)), Changed)


def _altered(**fields: object) -> Register:
    call = registration()
    kept = {name: getattr(call, name) for name in Register.__struct_fields__}
    return Register(**{**kept, **fields})


OTHER_NETWORK = genesis_hash(with_parameters(GENESIS, work_per_byte=1))


@pytest.mark.parametrize(
    ("call", "issuer", "reason"),
    [
        pytest.param(registration(), member_key(0), Reason.NOT_ALLOWED, id="a member sponsors"),
        pytest.param(registration(), key(1), Reason.NOT_ALLOWED, id="a stranger sponsors"),
        pytest.param(registration(), METER, Reason.NOT_ALLOWED, id="it sponsors itself"),
        pytest.param(
            registration(edge=NOBODY),
            VOTER,
            Reason.NOT_ALLOWED,
            id="no such edge",
        ),
        pytest.param(registration(edge=OWNER), VOTER, Reason.NOT_ALLOWED, id="a member as edge"),
        pytest.param(
            registration(key(1), "member"), VOTER, Reason.NOT_ALLOWED, id="a member with an edge"
        ),
        pytest.param(
            registration(edge_key(1)), VOTER, Reason.DEVICE_KNOWN, id="an edge node once more"
        ),
        pytest.param(_altered(owner=NO_ADDRESS), VOTER, Reason.BAD_PROOF, id="another owner"),
        pytest.param(
            _altered(edge=OTHER_EDGE),
            VOTER,
            Reason.BAD_PROOF,
            id="another edge",
        ),
        pytest.param(_altered(key=key(1).public), VOTER, Reason.BAD_PROOF, id="another key"),
        pytest.param(_altered(proof=bytes(64)), VOTER, Reason.BAD_PROOF, id="no proof"),
        pytest.param(
            registration(network=OTHER_NETWORK), VOTER, Reason.BAD_PROOF, id="another network's"
        ),
    ],
)
def test_a_registration_is_refused(call: Register, issuer: SigningKey, reason: Reason) -> None:
    assert apply_device(ROWS, call, by(issuer)) is reason


@pytest.mark.parametrize("role", ["edge", "voter", "admin", ""])
def test_no_other_role_comes_by_registration(role: str) -> None:
    with pytest.raises(MalformedBytesError):
        CONTRACT.decode(encode(_altered(role=role)))


def test_the_operation_carries_the_call() -> None:
    operation = register_operation(registration())

    assert operation.contract == CONTRACT.name
    assert CONTRACT.decode(operation.call) == registration()
