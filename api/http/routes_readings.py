"""What a member asks of its own readings: signed requests, in hex."""

from fastapi import APIRouter

from api.hexadecimal import from_hex
from api.http.json_forms import ErasedJson, ProofJson
from api.http.routes import API, PROBLEMS, Service
from api.proof_forms import about_reading
from devices.reading_proof import encode_reading_proof
from devices.reading_request import MAX_REQUEST_SIZE

router = APIRouter(prefix=f"{API}/readings", tags=["readings"], responses=PROBLEMS)


@router.get("/{request}", operation_id="getReadingProof")
async def get_reading_proof(service: Service, request: str) -> ProofJson:
    """Return the proof of one reading to who signed the request: its owner, or the meter."""
    data = from_hex(request, "reading request", at_most=MAX_REQUEST_SIZE)
    proof, proven = await service.prove_reading(data)
    shown = about_reading(proven, service.rules.network)
    return ProofJson(shown, encode_reading_proof(proof).hex())


@router.delete("/{request}", operation_id="deleteReadings")
async def delete_readings(service: Service, request: str) -> ErasedJson:
    """Delete readings with their salts for who signed the request: their owner, or the meter."""
    data = from_hex(request, "reading request", at_most=MAX_REQUEST_SIZE)
    return ErasedJson(await service.erase_readings(data))
