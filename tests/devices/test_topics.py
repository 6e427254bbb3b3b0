from devices.topics import (
    all_readings_topic,
    all_relays_topic,
    all_transactions_topic,
    answer_topic,
    readings_topic,
    receipt_topic,
    relay_topic,
    standing_topic,
    tips_topic,
    transactions_topic,
)
from tangle.address import encode_address
from tests.devices.homes import DEVICE, NETWORK


def test_topics_name_network_and_device() -> None:
    device = encode_address(DEVICE)
    start = f"tw/0001020304050607/{device}"

    assert readings_topic(NETWORK, DEVICE) == f"{start}/readings"
    assert receipt_topic(NETWORK, DEVICE) == f"{start}/ack"
    assert tips_topic(NETWORK, DEVICE) == f"{start}/tips"
    assert standing_topic(NETWORK, DEVICE) == f"{start}/standing"
    assert answer_topic(NETWORK, DEVICE) == f"{start}/answer"
    assert transactions_topic(NETWORK, DEVICE) == f"{start}/transactions"
    assert relay_topic(NETWORK, DEVICE) == f"{start}/relay"


def test_filters_match_every_device_of_one_network() -> None:
    assert all_readings_topic(NETWORK) == "tw/0001020304050607/+/readings"
    assert all_transactions_topic(NETWORK) == "tw/0001020304050607/+/transactions"
    assert all_relays_topic(NETWORK) == "tw/0001020304050607/+/relay"
