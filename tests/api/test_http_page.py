import re
from html.parser import HTMLParser

import pytest
from fastapi import FastAPI
from typing_extensions import override

from api.http.routes_page import PAGE, content_policy
from tests.api.asking import ask


class Parsed(HTMLParser):
    """Collects what a policy cares about."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.inline: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src", "action"):
                self.links.append(value or "")
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")


def test_the_page_is_served_with_a_policy_that_names_its_parts(app: FastAPI) -> None:
    answer = ask(app, "GET", "/")

    policy = answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.content == PAGE
    assert len(re.findall(r"script-src 'sha256-[\w+/]{43}='", policy)) == 1
    assert len(re.findall(r"style-src 'sha256-[\w+/]{43}='", policy)) == 1
    assert "unsafe" not in policy


def test_another_script_is_another_policy() -> None:
    changed = PAGE.replace(b"connect();\n</script>", b"connect(); \n</script>")

    assert changed != PAGE
    assert content_policy(changed) != content_policy(PAGE)


def test_the_page_asks_no_other_host_and_has_nothing_inline_beside_its_two_parts() -> None:
    parsed = Parsed()

    parsed.feed(PAGE.decode())

    assert parsed.inline == []
    assert all(link.startswith(("/", "data:")) for link in parsed.links)
    assert not re.search(rb"https?://", PAGE)
    assert PAGE.count(b"<script") == PAGE.count(b"<style") == 1


@pytest.mark.parametrize(
    "word", [b"innerHTML", b"outerHTML", b"insertAdjacentHTML", b"document.write", b"eval("]
)
def test_the_page_turns_nothing_it_is_told_into_markup(word: bytes) -> None:
    assert word not in PAGE


def test_the_page_reads_fields_that_the_api_has(app: FastAPI) -> None:
    info = ask(app, "GET", "/api/v1/info").json()
    read = set(re.findall(rb"\binfo\.(\w+)", PAGE))

    assert {name.decode() for name in read} <= set(info)
    for name in ("confirmed_index", "transactions", "pending", "tips"):
        assert f'id="{name}"'.encode() in PAGE


def test_the_document_of_the_api_names_every_operation(app: FastAPI) -> None:
    document = ask(app, "GET", "/api/openapi.json").json()
    again = ask(app, "GET", "/api/openapi.json").json()

    assert again == document
    operations = {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }
    assert sorted(operations) == [
        "deleteReadings",
        "getAddress",
        "getAddressProof",
        "getCandles",
        "getDepth",
        "getDevices",
        "getEnergy",
        "getHealth",
        "getInfo",
        "getLatestSnapshot",
        "getLive",
        "getMember",
        "getMetrics",
        "getMilestone",
        "getOrders",
        "getPeers",
        "getReadingProof",
        "getReady",
        "getRowProof",
        "getSettlement",
        "getSnapshots",
        "getSpan",
        "getTips",
        "getTrades",
        "getTransaction",
        "getTransactionProof",
        "getVotes",
        "postTransactions",
        "query",
    ]
    assert all("422" not in operation["responses"] for operation in operations.values())
    assert document["openapi"].startswith("3.1")


def test_every_reference_in_the_document_leads_somewhere(app: FastAPI) -> None:
    answer = ask(app, "GET", "/api/openapi.json")

    schemas = answer.json()["components"]["schemas"]
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', answer.text))
    assert referred <= set(schemas)
    assert {"ItemForm", "FieldsForm", "DataForm", "InfoJson", "Problem"} <= set(schemas)


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_the_frameworks_pages_from_another_host_are_off(app: FastAPI, path: str) -> None:
    assert ask(app, "GET", path).status_code == 404
