"""What a halted node keeps, and an operator's word on it: `python -m api.commands.evidence_main`.

They work on the data folder of a node that is stopped, and ask nobody.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.settings.genesis_file import load_genesis
from api.terminal.options import AsJson, add_command, ending, typer_app
from api.terminal.talk import put, put_json, say
from edge.journal.entries import Review
from edge.journal.journal import Journal
from edge.journal.storage import JOURNAL_NAME
from tangle.effects import Halted
from tangle.genesis import network_id
from tangle.transaction import TransactionId
from tangle.verification import parse

NS_PER_MS: Final = 1_000_000

app = typer_app("What a halted node keeps for its operator.")

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Data folder of a stopped node.")]
GenesisFile = Annotated[Path, typer.Option("--genesis", help="genesis.json of its network.")]
MilestoneId = Annotated[
    str, typer.Option("--milestone", metavar="ID", help="The one it halted at: it was looked at.")
]
Refused = Annotated[
    list[str] | None,
    typer.Option("--refuse", metavar="ID", help="Never consider this one again; repeat for more."),
]


def show(*, folder: Folder, genesis: GenesisFile, as_json: AsJson = False) -> None:
    """Show why a node halted, the milestones in question, and what was decided before.

    Examples:
      tanglewatt evidence show edge-1/data --genesis genesis.json
      tanglewatt evidence show edge-1/data --genesis genesis.json --json
    """
    with ending(as_json=as_json), _opened(folder, genesis) as journal:
        halted, reviews = journal.halted(), journal.reviews()
        if as_json:
            put_json(
                {
                    "halted": None if halted is None else _plain(halted),
                    "reviews": [_plain_review(one) for one in reviews],
                }
            )
            return
        if halted is None:
            put("not halted")
        else:
            _put_halted(halted)
        for one in reviews:
            refused = ", ".join(sorted(each.hex() for each in one.refused)) or "nothing"
            put(f"reviewed before: milestone {one.halted.index}, refused {refused}")


def resume(
    *,
    folder: Folder,
    genesis: GenesisFile,
    milestone: MilestoneId,
    refuse: Refused = None,
    as_json: AsJson = False,
) -> None:
    """Lift a halt for good, after a person has found out who was wrong. The evidence is kept.

    Of several milestones of one index all but one must be refused. What is not refused is judged
    anew: if it is as wrong as before, the node halts again.

    Examples:
      tanglewatt evidence resume edge-1/data --genesis genesis.json --milestone 4f0c…
      tanglewatt evidence resume edge-1/data --genesis genesis.json --milestone 4f0c… --refuse 77a1…
    """
    with ending(as_json=as_json), _opened(folder, genesis) as journal:
        halted = journal.halted()
        if halted is None or halted.milestone_id.hex() != milestone:
            found = "it has not halted" if halted is None else f"at {halted.milestone_id.hex()}"
            raise _refused(f"the node did not halt at milestone {milestone}", found)
        refused = _chosen(halted, refuse or [])
        journal.lift_halt(refused, time.time_ns() // NS_PER_MS)
        say(f"✔ the halt at milestone {halted.index} is lifted; start the node")
        if as_json:
            put_json({"index": halted.index, "refused": sorted(one.hex() for one in refused)})


def _chosen(halted: Halted, texts: list[str]) -> frozenset[TransactionId]:
    """Return the ids to refuse, once they are known to leave at most one milestone."""
    known = {parse(data).tx_id.hex(): parse(data).tx_id for data in halted.evidence}
    for text in texts:
        if text not in known:
            raise _refused(f"--refuse {text}", f"the evidence is {', '.join(known)}")
    chosen = frozenset(known[text] for text in texts)
    if len(known) - len(chosen) > 1:
        left = ", ".join(sorted(set(known) - set(texts)))
        raise _refused("more than one milestone of that index would be left", left)
    return chosen


@contextmanager
def _opened(folder: Path, genesis: Path) -> Iterator[Journal]:
    """Open the journal of a stopped node; one that is not there is not made."""
    network = network_id(load_genesis(genesis))
    if not (folder / JOURNAL_NAME).is_file():
        raise CommandError(
            Failure(
                FailureCode.NOT_FOUND,
                ExitCode.NOT_FOUND,
                f"{folder} holds no {JOURNAL_NAME}",
                "the evidence is in the journal of the node that halted",
                "name its data folder, for example edge-1/data",
            )
        )
    with Journal(folder, network) as journal:
        yield journal


def _put_halted(halted: Halted) -> None:
    put(f"halted at milestone {halted.index} {halted.milestone_id.hex()}")
    put(f"  {halted.report}")
    for data in halted.evidence:
        put(f"  evidence {parse(data).tx_id.hex()}: {len(data)} bytes")


def _plain(halted: Halted) -> dict[str, object]:
    return {
        "index": halted.index,
        "milestone_id": halted.milestone_id.hex(),
        "report": halted.report,
        "evidence": [
            {"id": parse(data).tx_id.hex(), "bytes": data.hex()} for data in halted.evidence
        ],
    }


def _plain_review(review: Review) -> dict[str, object]:
    return {
        **_plain(review.halted),
        "refused": sorted(one.hex() for one in review.refused),
        "reviewed_at_ms": review.reviewed_at_ms,
    }


def _refused(what: str, why: str) -> CommandError:
    return CommandError(
        Failure(
            FailureCode.BAD_ARGUMENT,
            ExitCode.USAGE,
            what,
            why,
            "look again with `tanglewatt evidence show`",
        )
    )


add_command(app, "show", show)
add_command(app, "resume", resume)


if __name__ == "__main__":
    app(prog_name="tanglewatt evidence")
