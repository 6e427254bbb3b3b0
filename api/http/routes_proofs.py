"""Proofs that anyone checks offline: of transactions, addresses and rows."""

from fastapi import APIRouter
from starlette.exceptions import HTTPException

from api.hexadecimal import from_hex
from api.http.json_forms import ProofJson
from api.http.routes import API, PROBLEMS, Service
from api.http.service import NodeService, Proved
from api.proof_forms import about
from tangle.address import decode_address
from tangle.hashing import HASH_SIZE
from tangle.proofs import MAX_KEY_SIZE
from tangle.transaction import TransactionId

router = APIRouter(prefix=f"{API}/proofs", tags=["proofs"], responses=PROBLEMS)


@router.get("/transactions/{tx_id}", operation_id="getTransactionProof")
async def get_transaction_proof(service: Service, tx_id: str) -> ProofJson:
    """Return the proof that a milestone references a transaction, and whether it was applied."""
    wanted = TransactionId(from_hex(tx_id, "transaction id", size=HASH_SIZE))
    proved = await service.prove_transaction(wanted)
    if proved is None:
        raise HTTPException(404, f"transaction {tx_id}: this node has never attached it")
    return _json(service, proved)


@router.get("/addresses/{address}", operation_id="getAddressProof")
async def get_address_proof(service: Service, address: str) -> ProofJson:
    """Return the proof of what an address holds after the last milestone."""
    return _json(service, await service.prove_address(decode_address(address)))


@router.get("/rows/{key}", operation_id="getRowProof")
async def get_row_proof(service: Service, key: str) -> ProofJson:
    """Return the proof of one row after the last milestone, or that there is none."""
    wanted = from_hex(key, "row key", at_most=MAX_KEY_SIZE)
    return _json(service, await service.prove_row(wanted))


def _json(service: NodeService, proved: Proved) -> ProofJson:
    rules = service.rules
    return ProofJson(about(proved.proven, rules.network, rules.contracts), proved.data.hex())
