from scripts.make_vectors import all_vectors, as_text
from tests.vectors import FOLDER


def test_the_vector_files_are_what_the_script_writes() -> None:
    written = {name: as_text(content) for name, content in all_vectors().items()}

    kept = {name: (FOLDER / f"{name}.json").read_text(encoding="utf-8") for name in written}

    assert kept == written
