"""A cohort of five with a threshold of three, an owner with a meter, and who wants to read.

Everything is on rows that the contracts themselves made. Random bytes come from a seed, times are
numbers, and every node is its own `CertificationNode`.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from access.codes import Code
from access.contract import AccessCall, access_operation
from access.device import Claim, DeviceCall, claim_registration, register_operation
from access.identity.idot import Keys
from access.identity.life_cycle import (
    KeyStatement,
    Publish,
    Rotate,
    key_message,
    next_key_hash,
)
from access.matching.case import Vantage
from access.matching.certification import CertificationNode, SealAndSend
from access.matching.matcher import Allowed, Denied, decide
from access.matching.message import Answer, Ask, SignedAsk, ask_message
from access.requests.granting import RegisterGrant, RevokeGrant
from access.requests.records import grant_id, salt_hash
from access.requests.requesting import (
    Activate,
    MakeRequest,
    RequestBody,
    request_id,
    request_message,
)
from access.streams.rules import AddChunk, ChunkBody, OpenStream, chunk_message
from access.streams.sealing import ChunkLabel, PrivacyRecord, SealedChunk, seal_chunk
from access.streams.stream import stream_id
from access.threshold import feldman, tdh2
from access.threshold.feldman import Polynomial
from access.tokens.dact import (
    AccessContext,
    Dact,
    Limits,
    Obligations,
    Place,
    Resource,
    ShownGrant,
    SignedDact,
    Threshold,
    acceptance_message,
    commitment,
    grant_message,
)
from access.tokens.evidence import (
    Evidence,
    Presence,
    SignedPresence,
    evidence_hash,
    presence_message,
)
from access.vaults.dealing import Accepted, Expected, deliveries, receive_share
from access.vaults.rules import Acknowledge, Deal
from access.vaults.vault import Sharing, Vault, vault, vault_id
from energy.governance.acts import SetCohort, Vote
from energy.governance.contract import vote_operation
from tangle.accounts import genesis_rows
from tangle.address import Address, address_of
from tangle.codec import encode
from tangle.contracts import Changed, Context
from tangle.genesis import genesis_hash
from tangle.keys import SigningKey
from tangle.outcomes import Reason
from tangle.rows import Draft, Rows
from tangle.transaction import Operation, TransactionId
from tests.community import CONTRACTS, VOTER, community, edge_key, key, member_key, meter_key

N: Final = 5
K: Final = 3
NOW_MS: Final = 1_800_000_000_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
SLOT_MS: Final = 15 * 60_000
SKEW_MS: Final = 10_000
MAX_STALE_MS: Final = 60_000
COHORT: Final = "home"

OWNER, SUBJECT, STRANGER, NEIGHBOUR = (member_key(number) for number in range(4))
METER, STATION = meter_key(0), meter_key(1)
ANY_PLACE: Final = Place("any", ())
GENESIS: Final = community(edges=N + 2, members=4)
GENESIS_HASH: Final = genesis_hash(GENESIS)
FOREVER_MS: Final = 2**50


def address(of: SigningKey) -> Address:
    return address_of(of.public)


NODE_KEYS: Final = tuple(sorted((edge_key(number) for number in range(N)), key=address))
"""By address: the index of a share is the place here, from 1."""

NODES: Final = tuple(address(one) for one in NODE_KEYS)


@dataclass(frozen=True)
class Made:
    """A request ready to be shown: what a subject has after it was applied."""

    request: bytes
    grants: tuple[ShownGrant, ...]
    evidence: Evidence
    evidence_salt: bytes
    kem_key: bytes
    signer: SigningKey


@dataclass
class World:
    """The ledger, and the secrets of everybody."""

    rng: random.Random
    rows: Draft
    now_ms: int = NOW_MS
    index: int = 1
    polynomial: Polynomial = field(init=False)
    vault: bytes = b""
    stream: bytes = b""
    nodes: list[CertificationNode] = field(default_factory=list)
    answered: list[set[bytes]] = field(default_factory=list)
    sealed: dict[int, SealedChunk] = field(default_factory=dict)
    transactions: int = 0

    # The ledger.

    def apply(self, operation: Operation, issuer: SigningKey) -> Changed | Reason:
        """Apply one operation as a milestone does."""
        contract = CONTRACTS[operation.contract]
        self.transactions += 1
        tx_id = TransactionId(self.transactions.to_bytes(32))
        context = Context(issuer.public, address(issuer), tx_id, self.index, self.now_ms)
        decided = contract.apply(self.rows, contract.decode(operation.call), context)
        if isinstance(decided, Changed):
            self.rows.put(decided.changes)
        return decided

    def do(self, call: AccessCall, issuer: SigningKey = STRANGER) -> Changed | Reason:
        return self.apply(access_operation(call), issuer)

    def device(self, call: DeviceCall, issuer: SigningKey = STRANGER) -> Changed | Reason:
        return self.apply(register_operation(call), issuer)

    def must(self, decided: Changed | Reason) -> Changed:
        assert isinstance(decided, Changed), decided
        return decided

    def end_milestone(self) -> Changed:
        step = CONTRACTS["access"].end_milestone
        assert step is not None
        changed = step(self.rows, self.index, self.now_ms)
        self.rows.put(changed.changes)
        return changed

    def last_transaction(self) -> bytes:
        return self.transactions.to_bytes(32)

    # Identities.

    def register(self, thing: SigningKey, owner: Address, role: str = "meter") -> None:
        edge = address(edge_key(0)) if role == "meter" else Address(bytes(32))
        claim = Claim(GENESIS_HASH, thing.public, role, owner, edge)
        self.must(self.device(claim_registration(claim, thing), VOTER))

    def publish(self, thing: SigningKey, issuer: SigningKey, **changed: object) -> Changed | Reason:
        keys = msgspec.structs.replace(keys_of(thing), **changed)
        statement = KeyStatement(GENESIS_HASH, address(thing), keys, 0)
        return self.device(
            Publish(address(thing), keys, thing.sign(key_message(statement))), issuer
        )

    def rotate(self, thing: Address, new: SigningKey, rotations: int = 1) -> Changed | Reason:
        keys = keys_of(new)
        statement = KeyStatement(GENESIS_HASH, thing, keys, rotations)
        return self.device(Rotate(thing, keys, new.sign(key_message(statement))))

    # Cohort and vault.

    def set_cohort(
        self, nodes: Sequence[Address] = NODES, *, name: str = COHORT, quorum: str = "majority"
    ) -> None:
        act = SetCohort(name, tuple(sorted(nodes)), quorum, MAX_STALE_MS, SKEW_MS)
        self.must(self.apply(vote_operation(Vote(act, yes=True)), VOTER))

    def deal(self, polynomial: Polynomial, number: int, owner: SigningKey = OWNER) -> bytes:
        """Deal, deliver and acknowledge; return the id of the vault."""
        commitments = feldman.commit(polynomial)
        held = self.cohort_generation()
        self.must(self.do(Deal(COHORT, held, number, commitments), owner))
        identifier = vault_id(GENESIS_HASH, address(owner), COHORT, held, commitments[0])
        sharing = Sharing(number, commitments, ())
        for index, delivery in enumerate(
            deliveries(polynomial, identifier, number, N, owner), start=1
        ):
            expected = Expected(identifier, sharing, index, owner.public)
            accepted = receive_share(delivery, expected)
            assert isinstance(accepted, Accepted)
            self.nodes[index - 1].hold(identifier, accepted.held)
            self.must(self.do(Acknowledge(identifier, number), NODE_KEYS[index - 1]))
        return identifier

    def cohort_generation(self) -> int:
        from_row = self.rows.get(b"cohort/" + COHORT.encode())
        assert from_row is not None
        generation = msgspec.msgpack.decode(from_row)[0]
        assert isinstance(generation, int)
        return generation

    def held_vault(self) -> Vault:
        held = vault(self.rows, self.vault)
        assert held is not None
        return held

    # Data.

    def label(self, number: int, *, stream: bytes | None = None) -> ChunkLabel:
        from_ms = NOW_MS - DAY_MS + number * SLOT_MS
        return ChunkLabel(
            GENESIS_HASH,
            stream or self.stream,
            number,
            from_ms,
            from_ms + SLOT_MS,
            self.vault,
            COHORT,
            self.held_vault().generation,
        )

    def add_chunk(self, number: int, readings: Sequence[tuple[int, bytes]] = ()) -> SealedChunk:
        label = self.label(number)
        sealed = seal_chunk(
            self.held_vault().public,
            label,
            readings or [(number, b"reading %d" % number)],
            PrivacyRecord(self.rng.randbytes(16), "someone", "charging", "delete it", DAY_MS),
            self.rng.randbytes(tdh2.ENCAPSULATION_ENTROPY),
        )
        self.must(self.do(self.chunk_call(label, sealed)))
        self.sealed[number] = sealed
        return sealed

    def chunk_call(
        self, label: ChunkLabel, sealed: SealedChunk, signer: SigningKey = METER
    ) -> AddChunk:
        body = ChunkBody(
            label.stream,
            label.number,
            label.from_ms,
            label.to_ms,
            label.vault,
            label.generation,
            sealed.capsule,
            sealed.key_commitment,
            sealed.root,
            sealed.sealed_addresses,
        )
        return AddChunk(body, signer.sign(chunk_message(GENESIS_HASH, body)))

    # Grants and requests.

    def dact(self, **changed: object) -> Dact:
        """Return the usual grant: read two hours of the stream, ten times, for a day."""
        held = self.held_vault()
        whole = Dact(
            1,
            GENESIS_HASH,
            self.rng.randbytes(16),
            self.now_ms,
            address(OWNER),
            address(SUBJECT),
            Resource(self.vault, self.stream, NOW_MS - DAY_MS, NOW_MS - DAY_MS + 8 * SLOT_MS),
            ("read",),
            AccessContext(
                NOW_MS - HOUR_MS, NOW_MS + DAY_MS, "UTC", (), ANY_PLACE, "charging", None
            ),
            Threshold(COHORT, held.generation, held.k, len(held.nodes)),
            Limits(10, 100, 5),
            2,
            0,
            None,
            0,
            Obligations(30 * DAY_MS, 0),
        )
        return msgspec.structs.replace(whole, **changed)

    def signed(
        self, dact: Dact, grantor: SigningKey = OWNER, subject: SigningKey = SUBJECT
    ) -> SignedDact:
        return SignedDact(
            dact, grantor.sign(grant_message(dact)), subject.sign(acceptance_message(dact))
        )

    def registered(
        self, signed: SignedDact, registrar: SigningKey = OWNER, **changed: object
    ) -> ShownGrant:
        """Enter a grant and return what shows it."""
        salt = self.rng.randbytes(32)
        dact = signed.dact
        call = RegisterGrant(
            salt_hash(salt),
            commitment(signed, salt),
            self.vault,
            dact.threshold.k,
            min(dact.context.not_after_ms, self.now_ms + 300 * DAY_MS),
            address(OWNER),
            dact.parent,
        )
        self.must(self.do(msgspec.structs.replace(call, **changed), registrar))
        return ShownGrant(signed, salt)

    def granted(self, **changed: object) -> ShownGrant:
        return self.registered(self.signed(self.dact(**changed)))

    def id_of(self, shown: ShownGrant, registrar: SigningKey = OWNER) -> bytes:
        return grant_id(address(registrar), salt_hash(shown.salt))

    def revoke(self, shown: ShownGrant, issuer: SigningKey = OWNER) -> Changed | Reason:
        return self.do(RevokeGrant(self.id_of(shown), "changed-my-mind"), issuer)

    def request(
        self,
        *grants: ShownGrant,
        chunks: Sequence[int] = (0, 1),
        evidence: Evidence | None = None,
        signer: SigningKey = SUBJECT,
        requester: Address | None = None,
        **changed: object,
    ) -> Made:
        """Make a request, have it applied, and return it."""
        made, call = self.drafted(
            *grants, chunks=chunks, evidence=evidence, signer=signer, requester=requester, **changed
        )
        self.must(self.do(call))
        return made

    def drafted(
        self,
        *grants: ShownGrant,
        chunks: Sequence[int] = (0, 1),
        evidence: Evidence | None = None,
        signer: SigningKey = SUBJECT,
        requester: Address | None = None,
        **changed: object,
    ) -> tuple[Made, MakeRequest]:
        evidence = evidence or Evidence("read", "charging", None)
        salt, kem_key = self.rng.randbytes(16), self.rng.randbytes(32)
        registrar = OWNER if len(grants) == 1 else SUBJECT
        body = RequestBody(
            GENESIS_HASH,
            self.id_of(grants[0], registrar),
            requester or address(signer),
            self.stream,
            tuple(chunks),
            evidence_hash(evidence, salt),
            kem_key,
            self.rng.randbytes(16),
            self.now_ms,
            self.index,
        )
        body = msgspec.structs.replace(body, **changed)
        call = MakeRequest(body, signer.sign(request_message(body)))
        return Made(request_id(body), grants, evidence, salt, body.kem_key, signer), call

    def ask(self, made: Made, node: int = 1, **changed: object) -> bytes:
        """Return the bytes that go to one node, counted from 1."""
        ask = Ask(
            GENESIS_HASH,
            NODES[node - 1],
            made.request,
            made.kem_key,
            made.grants,
            made.evidence,
            made.evidence_salt,
        )
        ask = msgspec.structs.replace(ask, **changed)
        return encode(SignedAsk(ask, made.signer.sign(ask_message(ask))))

    def presence(self, session: bytes = bytes(32), **changed: object) -> SignedPresence:
        said = Presence(GENESIS_HASH, address(STATION), address(SUBJECT), session, self.now_ms)
        said = msgspec.structs.replace(said, **changed)
        return SignedPresence(said, STATION.sign(presence_message(said)))

    # Nodes.

    def vantage(self, node: int = 1, **changed: object) -> Vantage:
        usual = {
            "node": NODES[node - 1],
            "rows": self.rows,
            "milestone_index": self.index,
            "milestone_ms": self.now_ms,
            "view_age_ms": 0,
            "now_ms": self.now_ms,
            "answered": self.answered[node - 1],
        }
        return Vantage(**{**usual, **changed})  # type: ignore[arg-type] # fields by name

    def code(self, data: bytes, node: int = 1, **changed: object) -> Code:
        """Return what a node makes of an ask, without answering it."""
        verdict = decide(data, self.vantage(node, **changed))
        match verdict:
            case Allowed():
                return Code.ALLOW
            case Denied(code=code):
                return code

    def answer(self, data: bytes, node: int = 1, **changed: object) -> Answer:
        """Let a node answer, and write down what it must."""
        effects = self.nodes[node - 1].receive(
            data, self.vantage(node, **changed), self.rng.randbytes(tdh2.PARTIAL_ENTROPY)
        )
        remember, send = effects
        assert not isinstance(remember, SealAndSend)
        replay_key = getattr(remember, "replay_key", None)
        if replay_key is not None:
            self.answered[node - 1].add(replay_key)
        assert isinstance(send, SealAndSend), send
        return send.answer

    def answers(self, made: Made, nodes: Sequence[int] = (1, 2, 3)) -> list[Answer]:
        return [self.answer(self.ask(made, node), node) for node in nodes]

    def activate(self, made: Made, answers: Sequence[Answer]) -> Changed | Reason:
        return self.do(Activate(made.request, tuple(one.receipt for one in answers)))


def keys_of(thing: SigningKey) -> Keys:
    """Return the usual keys of a thing; the next one follows from the present one."""
    return Keys(thing.public, thing.seed, next_key_hash(next_key(thing).public), 0, FOREVER_MS)


def next_key(of: SigningKey) -> SigningKey:
    """Return the key that a thing of these tests has committed to."""
    return key(int.from_bytes(of.seed) + 10_000)


def new_world(seed: str = "access", chunks: int = 9) -> World:
    """Return a world with an active vault, a stream, and chunks; the last is outside the grant."""
    world = World(random.Random(seed), Draft(Rows(genesis_rows(GENESIS))))
    world.nodes = [CertificationNode(one, {}, None) for one in NODE_KEYS]
    world.answered = [set() for _ in NODE_KEYS]
    world.register(METER, address(OWNER))
    world.register(STATION, address(NEIGHBOUR))
    for thing, issuer in (
        (OWNER, OWNER),
        (SUBJECT, SUBJECT),
        (STRANGER, STRANGER),
        (NEIGHBOUR, NEIGHBOUR),
        (METER, OWNER),
        (STATION, NEIGHBOUR),
        *((one, one) for one in NODE_KEYS),
    ):
        world.must(world.publish(thing, issuer))
    world.set_cohort()
    world.polynomial = feldman.new_polynomial(K, world.rng.randbytes(feldman.entropy_size(K)))
    world.vault = world.deal(world.polynomial, 1)
    opened = OpenStream(address(METER), "15min", SLOT_MS, world.vault, 0)
    world.must(world.do(opened, OWNER))
    world.stream = stream_id(GENESIS_HASH, address(METER), "15min")
    for number in range(chunks):
        world.add_chunk(number)
    return world
