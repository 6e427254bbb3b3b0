"""Each metric, as monitoring reads it; and that reading them costs little."""

import re
from pathlib import Path
from typing import Final

import pytest
from fastapi import FastAPI

from api.http.exposition import CONTENT_TYPE, Family, Histogram, Sample, exposition, gauge
from api.http.service import PeerView
from api.node.measuring import Measures
from api.node.metrics import Queue, Stand
from api.node.node_service import NodeApi
from edge.journal.storage import JOURNAL_NAME
from tangle.effects import Dropped, Expired, Misbehaved, PeerId
from tangle.errors import BadSignatureError, QueueFullError
from tangle.transaction import TransactionId
from tests.api.asking import ask, post
from tests.api.small_node import STRANGER, SmallNode

ROOT: Final = Path(__file__).parents[2]
_LINE: Final = re.compile(r"^([a-z_]+)(?:\{(.*)\})? ([-+.eE0-9]+)$")


def scraped(app: FastAPI) -> dict[str, float]:
    """Return every sample, by name and labels as they stand there."""
    answer = ask(app, "GET", "/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == CONTENT_TYPE
    samples = {}
    for line in answer.text.splitlines():
        if not line.startswith("#"):
            found = _LINE.match(line)
            assert found is not None, line
            samples[line.rpartition(" ")[0].removeprefix("tanglewatt_")] = float(found[3])
    return samples


def test_text_is_as_the_format_has_it() -> None:
    timing = Histogram((1, 2.5))
    for value in (0.5, 1, 2, 9):
        timing.observe(value)
    families = [
        gauge("level", "A\nB", 2.5),
        Family("said", "counter", "S.", (Sample(3, (("by", 'a"b\\c\n'), ("to", "x"))),)),
        Family("took_seconds", "histogram", "T.", timing.samples()),
    ]

    assert exposition(families).splitlines() == [
        "# HELP level A\\nB",
        "# TYPE level gauge",
        "level 2.5",
        "# HELP said S.",
        "# TYPE said counter",
        'said{by="a\\"b\\\\c\\n",to="x"} 3',
        "# HELP took_seconds T.",
        "# TYPE took_seconds histogram",
        'took_seconds_bucket{le="1"} 2',
        'took_seconds_bucket{le="2.5"} 3',
        'took_seconds_bucket{le="+Inf"} 4',
        "took_seconds_sum 12.5",
        "took_seconds_count 4",
    ]


def test_every_metric_is_documented_and_no_other(app: FastAPI) -> None:
    text = ask(app, "GET", "/metrics").text
    exported = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)
    page = (ROOT / "docs/operations.md").read_text("utf-8").partition("\n## Metrics\n")[2]
    rows = re.findall(r"^\| `(\w+)` \| (\w+)", page.partition("\n## ")[0], re.MULTILINE)

    assert sorted(rows) == sorted(exported)


def test_what_happens_to_transactions_is_counted(node: SmallNode, app: FastAPI) -> None:
    node.take_in(node.signed())
    node.clock_ms += 1_500
    node.confirm()
    node.take_in(node.signed(sequence=1))

    samples = scraped(app)

    assert samples['vertices_total{source="here"}'] == 3
    assert samples['vertices_confirmed_total{outcome="no-value"}'] == 1
    assert samples['milestone_index{kind="confirmed"}'] == 1
    assert samples['milestone_index{kind="latest"}'] == 1
    assert samples["milestone_timestamp_seconds"] == node.clock_ms / 1_000
    assert samples['confirmation_seconds_bucket{le="3"}'] == 0
    assert samples['confirmation_seconds_bucket{le="4"}'] == 1
    assert samples["confirmation_seconds_sum"] == 3.5
    assert samples["pending"] == 2
    assert samples["tips"] == 1


def test_history_that_is_caught_up_on_says_nothing_of_confirmation(
    node: SmallNode, app: FastAPI
) -> None:
    node.core.is_catching_up = True
    node.take_in(node.signed())
    node.confirm()

    assert scraped(app)["confirmation_seconds_count"] == 0


def test_refusals_are_counted_by_place_and_error(
    node: SmallNode, app: FastAPI, service: NodeApi
) -> None:
    post(app, node.signed(key=STRANGER), "application/octet-stream")
    post(app, b"?", "application/octet-stream")
    service.publish(Misbehaved(PeerId(b"m" * 32), BadSignatureError("bad")))
    service.publish(Dropped(TransactionId(bytes(32)), "full"))
    service.publish(Expired(TransactionId(bytes(32))))

    samples = scraped(app)

    assert samples['refused_total{place="door",reason="UnknownIssuerError"}'] == 1
    assert samples['refused_total{place="door",reason="MalformedBytesError"}'] == 1
    assert samples['refused_total{place="gossip",reason="BadSignatureError"}'] == 1
    assert samples["dropped_total"] == 1
    assert samples["expired_total"] == 1


def test_the_disk_is_measured_by_what_lies_there(node: SmallNode, app: FastAPI) -> None:
    (node.folder / "snapshots").mkdir()
    (node.folder / "snapshots" / "full-1").write_bytes(bytes(77))
    node.take_in(node.signed())
    node.confirm()

    samples = scraped(app)

    journal = node.folder / JOURNAL_NAME
    assert samples['storage_bytes{store="journal"}'] == journal.stat().st_size
    assert samples['storage_bytes{store="wal"}'] > 0
    assert samples['storage_bytes{store="journal_used"}'] == node.journal.used_bytes()
    assert samples['storage_bytes{store="snapshots"}'] == 77
    assert samples['storage_rows{table="transactions"}'] == 2
    assert samples['storage_rows{table="milestones"}'] == 1
    assert samples['storage_rows{table="readings"}'] == 0
    assert samples['storage_rows{table="ledger"}'] == len(node.core.ledger.rows)
    assert samples["storage_free_bytes"] > 0


def test_what_the_parts_say_is_passed_on(node: SmallNode, app: FastAPI) -> None:
    node.told_stand = Stand(
        queues=(Queue("fair", 3, 10),),
        counts={"banned": 1, "requested": 2, "answered": 4, "overflowed": 5},
        frames_refused={"ForgedFrameError": 6},
        frames_dropped=7,
        readings={"accepted": 8},
        messages={"lost": 9},
        pruned=11,
    )

    samples = scraped(app)

    assert samples['queue_length{queue="fair"}'] == 3
    assert samples['queue_limit{queue="fair"}'] == 10
    assert samples["bans_total"] == 1
    assert samples["requested_total"] == 2
    assert samples["answered_total"] == 4
    assert samples["overflowed_total"] == 5
    assert samples['frames_refused_total{reason="ForgedFrameError"}'] == 6
    assert samples["frames_dropped_total"] == 7
    assert samples['meter_readings_total{result="accepted"}'] == 8
    assert samples['meter_messages_total{event="lost"}'] == 9
    assert samples["pruned_vertices_total"] == 11


def test_peers_are_counted_and_named_by_their_alias(node: SmallNode, app: FastAPI) -> None:
    node.known_peers = (
        PeerView(PeerId(b"n" * 32), "north", True, 1, 0, 100, None),
        PeerView(PeerId(b"s" * 32), "south", False, 1, 0, 0, 99),
    )

    samples = scraped(app)

    assert samples['peers{state="connected"}'] == 1
    assert samples['peers{state="absent"}'] == 1
    assert samples['peers{state="banned"}'] == 1
    assert samples['peer_connected{peer="south"}'] == 0
    assert samples['peer_standing{peer="north"}'] == 100


def test_health_and_metrics_never_disagree(node: SmallNode, app: FastAPI) -> None:
    node.known_peers = (PeerView(PeerId(b"n" * 32), "north", False, None, None, 100, None),)

    samples = scraped(app)

    assert ask(app, "GET", "/health").status_code == 503
    assert samples["node_healthy"] == 0
    assert samples["node_synced"] == 1
    assert samples['check{name="peers"}'] == 0
    assert samples['build_info{version="1.2.3",role="edge"}'] == 1
    assert samples["halted"] == 0
    assert samples["websocket_clients"] == 0


def test_the_process_says_what_it_uses(node: SmallNode, app: FastAPI) -> None:
    samples = scraped(app)

    assert samples["process_resident_memory_bytes"] > 10**7
    assert 0 < samples["process_open_fds"] < samples["process_max_fds"]
    assert samples["process_cpu_seconds_total"] > 0
    assert samples["process_start_time_seconds"] == node.clock_ms / 1_000


@pytest.mark.parametrize("error", [BadSignatureError("bad"), QueueFullError("full")])
def test_a_door_counts_whatever_it_refuses(node: SmallNode, error: QueueFullError) -> None:
    measures = Measures(node.core)

    measures.refused_at_door(error)

    assert measures.refused == {("door", type(error).__name__): 1}


def test_a_scrape_reads_no_table_from_end_to_end(node: SmallNode, app: FastAPI) -> None:
    plans = []
    statements: list[str] = []
    connection = node.journal._storage._connection
    connection.set_trace_callback(statements.append)
    scraped(app)
    connection.set_trace_callback(None)
    for statement in statements:
        if statement.startswith("SELECT"):
            plans += [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]

    assert plans
    assert not [
        plan
        for plan in plans
        if plan.startswith("SCAN") and "USING" not in plan and "counters" not in plan
    ]
