"""The people of a demonstration: `python -m api.processes.community_main --data-dir FOLDER`."""

import os
import signal
from pathlib import Path
from random import Random
from threading import Event
from typing import Final

import structlog

from api.client.issuing import Issuer
from api.client.node_client import NodeClient
from api.client.sequence_file import sequence_file
from api.failures import CommandError
from api.network.people import charter_of
from api.processes.community import Actor, Community
from api.processes.in_flight import InFlight
from api.settings.genesis_file import load_genesis
from api.settings.layout import BANKER, BATTERY, COORDINATOR, OWNER, VOTER, Layout, load_network
from api.settings.logs import configure_logs
from api.settings.places import node_places
from api.settings.records import http_url
from api.settings.wallet_file import read_wallet_words
from api.terminal.options import DEFAULT_DATA_DIR, DataDir, ending, layout_of, run_single
from edge.ground.key_file import read_key_file, read_passphrase, read_public_key
from energy.demo.people import Banker, Device, Household, Owner, Person, Voter
from tangle.address import address_of
from tangle.genesis import network_id
from tangle.seeds import wallet_key

ROUND_S: Final = 2.0
"""Wall time between two rounds: a milestone, so that most acts are decided by then."""

TIMEOUT_S: Final = 5.0
"""For one answer of a node; after that another is asked."""

SPARE_MILESTONES: Final = 5
"""Beyond `reference_depth`: a node that is looked at may be a little behind."""

_log: Final = structlog.get_logger(__name__)


def run(*, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Play the people of a demonstration until SIGTERM or SIGINT.

    Examples:
      python -m api.processes.community_main --data-dir tanglewatt-data
    """
    configure_logs()
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with ending():
        _play(community_of(layout_of(data_dir)), stopped)


def _play(community: Community, stopped: Event) -> None:
    while not stopped.is_set():
        try:
            community.round()
        except CommandError as error:
            _log.info("round put off", error=error.failure.what)
        stopped.wait(ROUND_S)


def community_of(layout: Layout) -> Community:
    """Return the people of a data folder with their keys opened.

    Raises:
        CommandError: A file of the folder breaks a rule.
        InvalidKeyFileError: A key does not open.
    """
    network = load_network(layout)
    genesis = load_genesis(layout.genesis_file)
    places = node_places(layout, network, os.environ)
    edges = [NodeClient(http_url(one.http), TIMEOUT_S) for one in places if one.name != COORDINATOR]
    return Community(
        _actors(layout),
        charter_of(layout, network).unit,
        edges,
        InFlight(layout.in_flight_file, network_id(genesis).hex()),
        genesis.parameters.reference_depth + SPARE_MILESTONES,
        Random(int.from_bytes(os.urandom(8), "big")),
    )


def _actors(layout: Layout) -> list[Actor]:
    """Return who acts, with keys; those of a home at its home edge, the others at the first."""
    network, charter = load_network(layout), charter_of(layout, load_network(layout))
    passphrase = read_passphrase(layout.passphrase_file)
    settling_edge = address_of(read_public_key(layout.node_key_file(network.edges[0])))
    (battery,) = layout.meters(BATTERY, network)
    operator = address_of(read_public_key(layout.operator_key_file))
    voter = address_of(read_public_key(layout.person_key_file(VOTER)))
    by_key: dict[Path, Person] = {
        layout.operator_key_file: Voter(operator, charter, proposes=True),
        layout.person_key_file(VOTER): Voter(voter, charter, proposes=False),
        layout.person_key_file(BANKER): Banker(charter.banker),
        layout.person_key_file(OWNER): Owner(charter.owner, charter.unit, settling_edge),
        battery.key: Device(charter.unit, settling_edge),
    }
    actors = [
        Actor(str(file.relative_to(layout.root)), person, _key_issuer(file, passphrase), 0)
        for file, person in by_key.items()
    ]
    for at, name in enumerate(network.homes):
        file = layout.wallet_file(name)
        issuer = Issuer(wallet_key(read_wallet_words(file, passphrase)), sequence_file(file))
        home = Household(address_of(issuer.key.public), charter.unit, settling_edge)
        actors.append(Actor(name, home, issuer, at % len(network.edges)))
    return actors


def _key_issuer(file: Path, passphrase: bytes) -> Issuer:
    return Issuer(read_key_file(file, passphrase), sequence_file(file))


if __name__ == "__main__":
    run_single(run, "tanglewatt community")
