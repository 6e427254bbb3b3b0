"""Starts a command: while it still loads what it needs, Ctrl-C ends it without a word.

Nothing is open then and nothing half done; a traceback of imports would tell nobody anything.
"""

import importlib
import runpy
import signal
import sys


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until `hear_ctrl_c`
    importlib.import_module("api.main").main()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    del sys.argv[0]  # what is named there runs as if it had been started itself
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
