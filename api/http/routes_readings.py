"""What a member asks of its own readings: signed requests, in hex."""

from fastapi import APIRouter

from api.hexadecimal import from_hex
from api.http.json_forms import ErasedJson, PageJson, ProofJson
from api.http.routes import API, PROBLEMS, Service
from api.proof_forms import about_reading
from devices.reading_proof import encode_reading_proof
from devices.reading_request import MAX_REQUEST_SIZE

router = APIRouter(prefix=API, tags=["readings"], responses=PROBLEMS)


@router.get("/readings/{request}", operation_id="getReadingProof")
async def get_reading_proof(service: Service, request: str) -> ProofJson:
    """Return the proof of one reading to who signed the request: its owner, or the meter."""
    data = from_hex(request, "reading request", at_most=MAX_REQUEST_SIZE)
    proof, proven = await service.prove_reading(data)
    shown = about_reading(proven, service.rules.network)
    return ProofJson(shown, encode_reading_proof(proof).hex())


@router.delete("/readings/{request}", operation_id="deleteReadings")
async def delete_readings(service: Service, request: str) -> ErasedJson:
    """Delete readings with their salts for who signed the request: their owner, or the meter."""
    data = from_hex(request, "reading request", at_most=MAX_REQUEST_SIZE)
    return ErasedJson(await service.erase_readings(data))


@router.get("/spans/{request}", operation_id="getSpan")
async def get_span(service: Service, request: str) -> PageJson:
    """Return a page of readings, reports or settled days to who signed the request and may see it.

    The page is canonical bytes; it says from when to ask for the next one.
    """
    data = from_hex(request, "span request", at_most=MAX_REQUEST_SIZE)
    return PageJson((await service.show_span(data)).hex())
