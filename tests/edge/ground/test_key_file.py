import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec import structs
from typing_extensions import override

from edge.ground.key_file import (
    MAX_PASSPHRASE_SIZE,
    PASSPHRASE_VARIABLE,
    Cost,
    Header,
    KeyFile,
    open_key,
    passphrase_from,
    read_key_file,
    read_passphrase,
    read_public_key,
    shut_key,
    write_key_file,
)
from tangle.codec import encode
from tangle.errors import InvalidKeyFileError, StorageError
from tangle.keys import SigningKey

KEY = SigningKey(bytes(range(32)))
PASSPHRASE = b"correct horse"
CHEAP = Cost(passes=1, memory_kib=64)
SALT, NONCE = bytes(range(16)), bytes(range(24))

VECTOR = bytes.fromhex(
    "9297ae74616e676c65776174742d6b6579010140c410000102030405060708090a0b0c0d0e0fc418"
    "000102030405060708090a0b0c0d0e0f1011121314151617c42003a107bff3ce10be1d70dd18e74b"
    "c09967e4d6309ba50d5f1ddc8664125531b8c430c577848736bd74f0102fe726aa39fd74a1ff528b"
    "cd53d777a86fab1f84c006510164a6a34ccdd5299390dba57530f5d2"
)


def shut() -> bytes:
    return shut_key(KEY, PASSPHRASE, SALT, NONCE, CHEAP)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "node.key"
    write_key_file(path, KEY, PASSPHRASE, CHEAP)
    return path


def test_a_key_survives_its_file(path: Path) -> None:
    key = read_key_file(path, PASSPHRASE)

    assert key.seed == KEY.seed
    assert key.public == KEY.public == read_public_key(path)


def test_the_bytes_of_a_file_are_those_of_the_vector() -> None:
    assert shut() == VECTOR
    assert open_key(VECTOR, PASSPHRASE, "vector").seed == KEY.seed


def test_a_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_key_file(tmp_path / "wide", KEY, PASSPHRASE, CHEAP)
    finally:
        os.umask(before)

    assert (tmp_path / "wide").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["wide"]


def test_two_files_of_one_key_share_nothing_but_the_public_half(tmp_path: Path, path: Path) -> None:
    write_key_file(tmp_path / "again", KEY, PASSPHRASE, CHEAP)

    first, second = (
        msgspec.msgpack.decode(p.read_bytes(), type=KeyFile) for p in (path, tmp_path / "again")
    )
    assert first.header.salt != second.header.salt
    assert first.header.nonce != second.header.nonce
    assert first.sealed != second.sealed


def test_a_key_is_never_written_over(path: Path) -> None:
    before = path.read_bytes()

    with pytest.raises(InvalidKeyFileError, match=f"{path}: exists already"):
        write_key_file(path, SigningKey(bytes(32)), PASSPHRASE, CHEAP)

    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written: No such file"):
        write_key_file(tmp_path / "none" / "node.key", KEY, PASSPHRASE, CHEAP)


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o660, 0o666])
def test_a_file_that_others_can_use_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)

    with pytest.raises(InvalidKeyFileError, match=f"{path}: mode {mode:04o} lets others in"):
        read_key_file(path, PASSPHRASE)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_that_only_its_owner_can_use_is_read(path: Path, mode: int) -> None:
    path.chmod(mode)

    assert read_key_file(path, PASSPHRASE).public == KEY.public


def test_another_passphrase_is_refused_and_no_secret_is_told(path: Path) -> None:
    with pytest.raises(InvalidKeyFileError) as caught:
        read_key_file(path, b"incorrect horse")

    message = repr(caught.value) + repr(caught.value.__cause__)
    assert f"key file {path}: the passphrase does not open it" in message
    for secret in ("horse", KEY.seed.hex(), repr(KEY.seed)):
        assert secret not in message


def test_every_altered_bit_is_noticed() -> None:
    data = shut()
    for at in range(len(data)):
        altered = bytearray(data)
        altered[at] ^= 1

        with pytest.raises(InvalidKeyFileError):
            open_key(bytes(altered), PASSPHRASE, "altered")


@pytest.mark.parametrize("cut", [0, 1, 50, len(shut()) - 1])
def test_a_file_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(InvalidKeyFileError, match="short: not a key file of version 1"):
        open_key(shut()[:cut], PASSPHRASE, "short")


HEADER = msgspec.msgpack.decode(shut(), type=KeyFile).header


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(structs.replace(HEADER, passes=0), id="no pass"),
        pytest.param(structs.replace(HEADER, passes=17), id="hours of passes"),
        pytest.param(structs.replace(HEADER, memory_kib=7), id="too little memory"),
        pytest.param(structs.replace(HEADER, memory_kib=2**20 + 1), id="all the memory"),
        pytest.param(structs.replace(HEADER, version=2), id="later version"),
        pytest.param(structs.replace(HEADER, magic="other"), id="another program"),
    ],
)
def test_a_header_out_of_bounds_costs_nothing(header: Header) -> None:
    with pytest.raises(InvalidKeyFileError, match="not a key file of version 1"):
        open_key(encode(KeyFile(header, bytes(48))), PASSPHRASE, "forged")


def test_a_seal_too_short_to_be_one_is_refused() -> None:
    with pytest.raises(InvalidKeyFileError, match="does not open"):
        open_key(encode(KeyFile(HEADER, b"")), PASSPHRASE, "forged")


def test_a_seed_that_is_not_that_of_the_header_is_refused() -> None:
    class Liar(SigningKey):
        @property
        @override
        def seed(self) -> bytes:
            return bytes(31)

    with pytest.raises(InvalidKeyFileError, match="not that of its header"):
        open_key(shut_key(Liar(bytes(32)), PASSPHRASE, SALT, NONCE, CHEAP), PASSPHRASE, "liar")


@pytest.mark.parametrize("passphrase", [b"", bytes(MAX_PASSPHRASE_SIZE + 1)])
def test_a_passphrase_has_a_length(tmp_path: Path, passphrase: bytes) -> None:
    with pytest.raises(InvalidKeyFileError, match=f"from 1 to {MAX_PASSPHRASE_SIZE}"):
        write_key_file(tmp_path / "node.key", KEY, passphrase, CHEAP)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "passphrase"),
    [
        (b"secret\n", b"secret"),
        (b"secret\r\n", b"secret"),
        (b"two\nlines\n\n", b"two\nlines\n"),
        (b" secret ", b" secret "),
    ],
)
def test_a_passphrase_is_read_without_the_end_of_its_line(
    tmp_path: Path, content: bytes, passphrase: bytes
) -> None:
    path = tmp_path / "passphrase"
    path.touch(mode=0o600)
    path.write_bytes(content)

    assert read_passphrase(path) == passphrase
    assert passphrase_from({PASSPHRASE_VARIABLE: str(path)}) == passphrase


@pytest.mark.parametrize("environment", [{}, {PASSPHRASE_VARIABLE: ""}])
def test_an_environment_may_name_no_passphrase(environment: dict[str, str]) -> None:
    assert passphrase_from(environment) is None


@pytest.mark.parametrize(
    ("content", "mode", "rule"),
    [
        (b"secret", 0o644, "mode 0644 lets others in; it must be 0600"),
        (b"", 0o600, "a passphrase of 0 bytes"),
        (b"\n", 0o600, "a passphrase of 0 bytes"),
        (bytes(MAX_PASSPHRASE_SIZE + 1), 0o600, f"a passphrase of {MAX_PASSPHRASE_SIZE + 1} bytes"),
        (bytes(10_000), 0o600, f"more than {MAX_PASSPHRASE_SIZE + 2} bytes"),
    ],
)
def test_a_passphrase_file_is_refused(tmp_path: Path, content: bytes, mode: int, rule: str) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(content)
    path.chmod(mode)

    with pytest.raises(InvalidKeyFileError, match=rule) as caught:
        read_passphrase(path)

    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidKeyFileError, match=f"key file {tmp_path / 'no'}: there is no such"):
        read_key_file(tmp_path / "no", PASSPHRASE)


def test_what_is_no_regular_file_does_not_hold_the_node_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)

    with pytest.raises(InvalidKeyFileError, match="not a regular file"):
        read_key_file(tmp_path / "pipe", PASSPHRASE)
    with pytest.raises(InvalidKeyFileError, match="not a regular file"):
        read_key_file(tmp_path, PASSPHRASE)
    with pytest.raises(StorageError, match="cannot be read"):
        read_key_file(tmp_path / "pipe" / "within", PASSPHRASE)


STARVED = """
import resource
import sys
from edge.ground.key_file import open_key
from tangle.errors import UnavailableError
resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
try:
    open_key(bytes.fromhex(sys.argv[1]), b"passphrase", "greedy")
except UnavailableError as error:
    print(error)
"""


def test_too_little_memory_is_not_taken_for_a_wrong_passphrase() -> None:
    greedy = encode(KeyFile(structs.replace(HEADER, memory_kib=2**20), bytes(48)))

    done = subprocess.run(
        [sys.executable, "-B", "-c", STARVED, greedy.hex()],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == f"a passphrase needs {2**20} KiB of memory to be tried"


def test_the_usual_cost_is_dear_to_guess_and_cheap_to_start_with() -> None:
    header = msgspec.msgpack.decode(
        shut_key(KEY, PASSPHRASE, SALT, NONCE, Cost()), type=KeyFile
    ).header

    assert header.memory_kib == 64 * 1024
    assert header.passes == 3
