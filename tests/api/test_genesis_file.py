import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.failures import CommandError, FailureCode
from api.settings.genesis_file import genesis_text, load_genesis, parse_genesis
from tangle.address import Address
from tangle.errors import InvalidAddressError
from tangle.genesis import Allocation, Genesis, GenesisIdentity, Parameters, genesis_hash
from tangle.keys import PublicKey

KEYS = st.binary(min_size=32, max_size=32)
ROLES = st.sampled_from(["member", "voter", "edge", "meter"])


@st.composite
def geneses(draw: st.DrawFn) -> Genesis:
    keys = draw(st.sets(KEYS, max_size=5))
    owners = draw(st.sets(KEYS, max_size=5))
    return Genesis(
        name=draw(st.text("abc-_.09", min_size=1, max_size=20)),
        created_at_ms=draw(st.integers(0, 2**60)),
        ledger_start_ms=draw(st.integers(0, 2**60)),
        parameters=Parameters(time_scale=draw(st.integers(1, 10**6))),
        coordinator_keys=(PublicKey(draw(KEYS)),),
        quorum=1,
        identities=tuple(GenesisIdentity(PublicKey(key), draw(ROLES)) for key in sorted(keys)),
        allocations=tuple(
            Allocation(Address(owner), draw(st.integers(1, 10**15))) for owner in sorted(owners)
        ),
    )


GENESIS = Genesis(
    name="net",
    created_at_ms=1,
    ledger_start_ms=2,
    parameters=Parameters(),
    coordinator_keys=(PublicKey(bytes(32)),),
    quorum=1,
    identities=(GenesisIdentity(PublicKey(bytes(32)), "edge"),),
    allocations=(Allocation(Address(bytes(32)), 5),),
)


@given(geneses())
def test_text_reads_back_as_the_same_genesis(genesis: Genesis) -> None:
    assert parse_genesis(genesis_text(genesis)) == genesis


def test_the_text_repeats_the_hash_and_names_every_field() -> None:
    plain = json.loads(genesis_text(GENESIS))

    assert plain["hash"] == genesis_hash(GENESIS).hex()
    assert plain["parameters"]["work_per_byte"] == 64
    assert plain["allocations"][0]["address"].startswith("tw1")


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        pytest.param('"quorum": 1', '"quorum": 2', "its hash is given as", id="altered"),
        pytest.param('"quorum": 1', '"quorun": 1', "needs exactly", id="misspelled name"),
        pytest.param('"role": "edge"', '"role": "king"', "king|regex|pattern", id="unknown role"),
        pytest.param(
            '"role": "edge"', '"role": "edge", "x": 1', "needs exactly", id="name too many"
        ),
        pytest.param('"amount_ueur": 5', '"amount_ueur": 0', ">= 1", id="nothing allocated"),
        pytest.param('"created_at_ms": 1', '"created_at_ms": "1"', "int", id="text for a number"),
        pytest.param(f'"key": "{"00" * 32}"', '"key": "00"', "length", id="short key"),
        pytest.param(f'"key": "{"00" * 32}"', '"key": 5', "hexadecimal", id="key of no text"),
        pytest.param("tw1", "tw2", "address", id="mistyped address"),
        pytest.param("[\n    {", '5, "x": [\n    {', "needs exactly|must be a list", id="no list"),
        pytest.param("{", "", "Expecting|Extra", id="no JSON"),
    ],
)
def test_text_that_breaks_a_rule_is_refused(tmp_path: Path, old: str, new: str, rule: str) -> None:
    text = genesis_text(GENESIS)
    assert old in text
    file = tmp_path / "genesis.json"
    file.write_text(text.replace(old, new, 1))

    with pytest.raises(CommandError, match=rule) as caught:
        load_genesis(file)

    assert caught.value.failure.code is FailureCode.BAD_GENESIS
    assert str(file) in caught.value.failure.what


@pytest.mark.parametrize("text", ["[]", "5", "null"])
def test_json_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="JSON object"):
        parse_genesis(text)


def test_a_list_in_place_of_which_something_else_stands_is_refused() -> None:
    plain = json.loads(genesis_text(GENESIS)) | {"identities": "none"}

    with pytest.raises(ValueError, match="identities must be a list"):
        parse_genesis(json.dumps(plain))


def test_an_address_that_is_no_text_is_refused() -> None:
    plain = json.loads(genesis_text(GENESIS))
    plain["allocations"][0]["address"] = 5

    with pytest.raises(InvalidAddressError, match="address '5'"):
        parse_genesis(json.dumps(plain))


def test_json_deeper_than_anyone_reads_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "genesis.json"
    file.write_text("[" * 100_000)

    with pytest.raises(CommandError, match="recursion"):
        load_genesis(file)


def test_a_missing_file_and_one_of_absurd_size_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CommandError, match="No such file"):
        load_genesis(tmp_path / "none.json")

    (tmp_path / "big.json").write_text(genesis_text(GENESIS))
    monkeypatch.setattr("api.settings.genesis_file.MAX_GENESIS_TEXT_SIZE", 10)
    with pytest.raises(CommandError, match="the maximum is 10 bytes"):
        load_genesis(tmp_path / "big.json")
