"""That the C library takes what it is told, in a process of its own: it cannot be taken back."""

import platform
import subprocess
import sys


def test_the_c_library_listens_if_it_is_glibc() -> None:
    code = "from api.processes.memory import give_back; print(give_back())"

    said = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60)

    assert said.strip() == str(platform.libc_ver()[0] == "glibc")
