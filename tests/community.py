"""A small community for tests: keys from numbers, a genesis, and transactions made by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from access.contract import CONTRACT as ACCESS
from access.device import CONTRACT as DEVICE
from energy.bank import CONTRACT as BANK
from energy.bills.contract import CONTRACT as BILL
from energy.ctt.contract import CONTRACT as CTT
from energy.governance.contract import CONTRACT as GOVERNANCE
from energy.market.contract import CONTRACT as MARKET
from energy.powerchain.contract import CONTRACT as ENERGY
from energy.transfer import CONTRACT as TRANSFER
from energy.transfer import TransferEeuro, transfer_operation
from tangle.address import Address, address_of
from tangle.codec import encode
from tangle.contracts import by_name
from tangle.genesis import Allocation, Genesis, GenesisIdentity, Parameters, network_id
from tangle.keys import PublicKey, SigningKey
from tangle.transaction import (
    VERSION,
    Data,
    IssuerWitness,
    KeySignature,
    MilestoneWitness,
    Payload,
    SignedTransaction,
    Transaction,
    TransactionId,
    Witness,
    decode,
    sign,
    transaction_id,
)
from tangle.verification import Verified, parse
from tangle.work import find_nonce, required_bits

CONTRACTS: Final = by_name(TRANSFER, DEVICE, ACCESS, ENERGY, BANK, MARKET, CTT, BILL, GOVERNANCE)
NO_WORK: Final = Parameters(work_per_byte=0)
COINS_UEUR: Final = 1_000_000
NOTE: Final = Data("test", b"")
START_MS: Final = 1_700_000_000_000


@cache
def key(number: int) -> SigningKey:
    """Return one of the keys of these tests."""
    return SigningKey(number.to_bytes(32, "big"))


COORDINATOR: Final = key(900)
VOTER: Final = key(800)


def edge_key(number: int) -> SigningKey:
    return key(100 + number)


def member_key(number: int) -> SigningKey:
    return key(200 + number)


def meter_key(number: int) -> SigningKey:
    return key(300 + number)


def forged(data: bytes) -> bytes:
    """Return a transaction under the witness of a stranger: its id is the same."""
    signed, stranger = decode(data), key(999)
    signature = sign(signed.transaction, stranger)
    witness: Witness = MilestoneWitness((KeySignature(stranger.public, signature),))
    if isinstance(signed.witness, IssuerWitness):
        witness = IssuerWitness(signature, signed.witness.nonce)
    return encode(SignedTransaction(signed.transaction, witness))


def community(
    edges: int = 2,
    members: int = 3,
    parameters: Parameters = NO_WORK,
    signers: Sequence[SigningKey] = (COORDINATOR,),
    quorum: int = 1,
) -> Genesis:
    """Return a genesis with edge nodes, one voter, and members who hold `COINS_UEUR` each."""
    roles: list[tuple[PublicKey, str]] = [(VOTER.public, "voter"), (COORDINATOR.public, "edge")]
    roles += [(edge_key(number).public, "edge") for number in range(edges)]
    roles += [(member_key(number).public, "member") for number in range(members)]
    addresses = sorted(address_of(member_key(number).public) for number in range(members))
    return Genesis(
        name="test",
        created_at_ms=START_MS,
        ledger_start_ms=START_MS,
        parameters=parameters,
        coordinator_keys=tuple(sorted(one.public for one in signers)),
        quorum=quorum,
        identities=tuple(GenesisIdentity(public, role) for public, role in sorted(roles)),
        allocations=tuple(Allocation(address, COINS_UEUR) for address in addresses),
    )


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the canonical bytes of transactions of one network."""

    genesis: Genesis

    def transaction(
        self,
        issuer: SigningKey,
        sequence: int,
        parents: tuple[TransactionId, ...],
        payload: Payload = NOTE,
        issued_at_ms: int = START_MS,
    ) -> Verified:
        """Return a signed transaction with the work its size asks for."""
        fields = Transaction(
            VERSION,
            network_id(self.genesis),
            tuple(sorted(parents)),
            issuer.public,
            sequence,
            issued_at_ms,
            payload,
        )
        return self.witnessed(fields, issuer)

    def witnessed(self, fields: Transaction, issuer: SigningKey, start: int = 0) -> Verified:
        """Sign and work `fields`; another `start` gives another nonce."""
        bits = required_bits(len(encode(fields)), self.genesis.parameters.work_per_byte)
        nonce = find_nonce(transaction_id(fields), bits, start)
        witness = IssuerWitness(sign(fields, issuer), nonce)
        return parse(encode(SignedTransaction(fields, witness)))

    def transfer(
        self,
        issuer: SigningKey,
        sequence: int,
        parents: tuple[TransactionId, ...],
        to: Address,
        amount_ueur: int,
    ) -> Verified:
        """Return a transfer of eEuro."""
        return self.transaction(
            issuer, sequence, parents, transfer_operation(TransferEeuro(to, amount_ueur))
        )


def with_parameters(genesis: Genesis, **changes: int | str) -> Genesis:
    """Return a genesis that differs in some parameters; another network."""
    fields = {name: getattr(genesis.parameters, name) for name in Parameters.__struct_fields__}
    return Genesis(
        **{
            **{name: getattr(genesis, name) for name in Genesis.__struct_fields__},
            "parameters": Parameters(**{**fields, **changes}),
        }
    )
