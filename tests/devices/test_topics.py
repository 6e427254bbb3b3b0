from devices.topics import all_readings_topic, readings_topic, receipt_topic, tips_topic
from tangle.address import encode_address
from tests.devices.homes import DEVICE, NETWORK


def test_topics_name_network_and_device() -> None:
    device = encode_address(DEVICE)

    assert readings_topic(NETWORK, DEVICE) == f"tw/0001020304050607/{device}/readings"
    assert receipt_topic(NETWORK, DEVICE) == f"tw/0001020304050607/{device}/ack"
    assert all_readings_topic(NETWORK) == "tw/0001020304050607/+/readings"
    assert tips_topic(NETWORK) == "tw/0001020304050607/tips"
