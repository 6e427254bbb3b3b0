"""Makes a lost lock file of the coordinator anew: `python -m api.commands.recover_main`."""

import os
from typing import Annotated, Protocol

import typer

from api.client.answers import InfoAnswer, MilestoneAnswer
from api.client.node_client import NodeClient
from api.exit_codes import ExitCode
from api.failures import CommandError, Failure, FailureCode
from api.node.coordinating import write_lock
from api.settings.config import load_config
from api.settings.genesis_file import load_genesis
from api.settings.records import CoordinatorConfig, heard_peers
from api.terminal.options import AsJson, ConfigFile, Settings, ending, run_single, settings
from api.terminal.talk import put_json, say
from coordinator.recovery import LastMilestone, recovered_lock
from tangle.errors import RecoveryRefusedError
from tangle.genesis import Genesis, entry_points, network_id
from tangle.keys import PublicKey
from tangle.transaction import TransactionId

Peers = Annotated[
    list[str], typer.Option("--peer", metavar="URL", help="HTTP address of a peer; repeat for all.")
]
AcceptMissing = Annotated[
    bool,
    typer.Option("--accept-missing", help="I answer for the configured peers that are not asked."),
]


def recover(
    *,
    config: ConfigFile,
    peer: Peers,
    set_: Settings = None,
    accept_missing: AcceptMissing = False,
    as_json: AsJson = False,
) -> None:
    """Make a lost lock file anew, from the last milestone that all peers name.

    Stop the coordinator first. Every peer that its configuration names must be asked and must
    name the same milestone: a wrong lock would let it sign two milestones of one index.

    Examples:
      tanglewatt coordinator recover --config coordinator.toml --peer http://127.0.0.1:8081
    """
    with ending(as_json=as_json):
        record = load_config(CoordinatorConfig, config.absolute(), os.environ, settings(set_))
        file = record.coordinator.lock_file
        if file.exists():
            raise _refused(f"{file} exists", "a lock that is there is never replaced")
        genesis = load_genesis(record.node.genesis_file)
        names = {PublicKey(one.key): one.alias for one in heard_peers(record.mesh)}
        answers = [last_milestone(NodeClient(url), genesis) for url in peer]
        try:
            lock = recovered_lock(
                answers, names, network_id(genesis), accepts_missing=accept_missing
            )
        except RecoveryRefusedError as error:
            raise _refused("the peers do not vouch for one last milestone", str(error)) from error
        write_lock(file, lock)
        say(f"✔ {file} says that milestone {lock.index} was signed last")
        if as_json:
            put_json({"index": lock.index, "milestone_id": lock.milestone_id.hex()})


class Questions(Protocol):
    """What is asked of a peer; `NodeClient` asks it over HTTP."""

    def info(self) -> InfoAnswer:
        """Return who the node is and how far it has confirmed."""
        ...

    def milestone(self, index: int) -> MilestoneAnswer:
        """Return an applied milestone."""
        ...


def last_milestone(client: Questions, genesis: Genesis) -> LastMilestone:
    """Return what a node has applied last. Raises `CommandError` if it does not answer."""
    info = client.info()
    milestone_id, data = entry_points(genesis)[0], b""
    index = info.confirmed_index
    if index:
        milestone = client.milestone(index)
        milestone_id = TransactionId(bytes.fromhex(milestone.id))
        data = bytes.fromhex(milestone.bytes)
    return LastMilestone(
        PublicKey(bytes.fromhex(info.node)), bytes.fromhex(info.network), index, milestone_id, data
    )


def _refused(what: str, why: str) -> CommandError:
    return CommandError(
        Failure(
            FailureCode.NO_RECOVERY,
            ExitCode.NOT_AUTHORISED,
            what,
            why,
            "look for the old lock file first; else see that all peers run and agree, and retry",
        )
    )


if __name__ == "__main__":
    run_single(recover, "tanglewatt coordinator recover")
