"""RABBITMQ_URL and RABBITMQ_MANAGEMENT_URL: one reading for AMQP and for the management API."""

from __future__ import annotations

import random
import re
import ssl
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.amqp.nodes import PARAMETERS, BrokerNodes
from gateway.management.nodes import ManagementNodes

CANARY = "Canary7"


def hosts(nodes: BrokerNodes) -> list[tuple[str, int]]:
    return [(node.host, node.port) for node in nodes.nodes]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "/"),
        ("/", "/"),
        ("//", "/"),
        ("/%2F", "/"),
        ("/%2f", "/"),
        ("//prod", "/prod"),
        ("/%2Fprod", "/prod"),
        ("/prod", "prod"),
        ("/a/b", "a/b"),
        ("/100%25", "100%"),
        ("/%2C%40", ",@"),
        ("/%C3%BC", "ü"),
    ],
)
@pytest.mark.parametrize("authority", ["host", "u:p@host:1", "h1,h2"])
def test_amqp_and_management_read_the_same_virtual_host(authority: str, path: str, expected: str) -> None:
    broker = BrokerNodes.parse(f"amqp://{authority}{path}")

    assert broker.virtual_host == expected
    assert {node.virtual_host for node in broker.nodes} == {expected}
    assert ManagementNodes.parse("", broker).virtual_host == expected
    assert ManagementNodes.parse("http://elsewhere:1/prefix", broker).virtual_host == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://", [("localhost", 5672)]),
        ("amqp://h", [("h", 5672)]),
        ("AMQP://Host", [("host", 5672)]),
        ("amqps://h", [("h", 5671)]),
        ("amqp://h:1", [("h", 1)]),
        ("amqp://[::1]", [("::1", 5672)]),
        ("amqp://[fe80::1%25eth0]:7", [("fe80::1%eth0", 7)]),
        ("amqp://u:p@h1:5672,h2:5673,h3/vhost", [("h1", 5672), ("h2", 5673), ("h3", 5672)]),
        ("amqp://[::1]:1,10.0.0.1:2,my_host", [("::1", 1), ("10.0.0.1", 2), ("my_host", 5672)]),
        ("amqp://h1,amqp://h2:7", [("h1", 5672), ("h2", 7)]),
        ("amqps://h1/v,AMQP://h2,h3/v", [("h1", 5671), ("h2", 5672), ("h3", 5672)]),
    ],
)
def test_nodes_are_hosts_or_urls_separated_by_commas(url: str, expected: list[tuple[str, int]]) -> None:
    assert hosts(BrokerNodes.parse(url)) == expected


def test_each_url_has_a_login_of_its_own_and_hosts_of_one_url_share_theirs() -> None:
    broker = BrokerNodes.parse("amqp://a:1@h1,h2,amqp://b:2@h3,amqp://h4")

    logins = [(node.credentials.username, node.credentials.password) for node in broker.nodes]
    assert logins == [("a", "1"), ("a", "1"), ("b", "2"), ("guest", "guest")]
    nodes = ManagementNodes.parse("", broker).nodes
    assert [(node.login.user, node.login.password) for node in nodes] == logins
    assert [node.url for node in nodes] == [f"http://h{number}:15672" for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("written", ["p%40ss%2Fw%3Fr%23d%25%2C%3A", "p@ss:w", "a,b", "a+b", "%20", "", "üñ", "p&q=r;s"])
def test_a_password_is_percent_decoded(written: str) -> None:
    expected = {"p%40ss%2Fw%3Fr%23d%25%2C%3A": "p@ss/w?r#d%,:", "%20": " "}.get(written, written)

    broker = BrokerNodes.parse(f"amqp://us%40er:{written}@h1,h2/v")

    assert hosts(broker) == [("h1", 5672), ("h2", 5672)]
    assert {(node.credentials.username, node.credentials.password) for node in broker.nodes} == {("us@er", expected)}
    node = ManagementNodes.parse(f"https://us%40er:{written}@m1:1", broker).nodes[0]
    assert (node.url, node.login.user, node.login.password) == ("https://m1:1", "us@er", expected)


def test_parameters_hold_for_all_hosts_of_their_url() -> None:
    broker = BrokerNodes.parse("amqp://h1,h2?heartbeat=3&socket_timeout=0.5,amqp://h3?frame_max=4096")

    assert [node.heartbeat for node in broker.shuffled("x", 10)].count(3) == 2
    assert sorted(node.frame_max for node in broker.nodes) == [4096, 131072, 131072]


def test_tls_options_are_loaded() -> None:
    options = {"ca_certs": ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"}

    (node,) = BrokerNodes.parse(f"amqps://h?ssl_options={options}").nodes

    assert node.ssl_options.context.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "must start with amqp:// or amqps://"),
        ("http://h", "must start with amqp:// or amqps://"),
        ("amqp:/h", "must start with"),
        ("h:5672", "must start with"),
        (" amqp://h", "must not contain spaces"),
        ("amqp://h ", "must not contain spaces"),
        ("amqp://h1, amqp://h2", "must not contain spaces"),
        ("amqp://h\n", "must not contain spaces"),
        ("amqp://h?heartbeat=1\t", "must not contain spaces"),
        (f"amqp://u:p{CANARY}#x@h/", 'must not contain "#"'),
        (f"amqp://u:Top/{CANARY}@h/", 'has an "@" after the first "/"'),
        (f"amqp://u:12/{CANARY}@h/", 'has an "@" after the first "/"'),
        (f"amqp://u:12?{CANARY}@h/", 'has an "@" after the first "/"'),
        (f"amqp://u:{CANARY}%@h/", 'has a "%" that does not start'),
        (f"amqp://u:{CANARY}%zz@h/", 'has a "%" that does not start'),
        (f"amqp://u:{CANARY}%ff@h/", "that are not UTF-8"),
        (f"amqp://{CANARY}@h/", "has a user without a password"),
        (f"amqp://u:{CANARY}@h1,u:{CANARY}@h2/", "has a login before each host"),
        (f"amqp://u:{CANARY}/", "has a port that is not a number from 1 to 65535"),
        ("amqp://h:0/", "has a port"),
        ("amqp://h:/", "has a port"),
        ("amqp://h:65536/", "has a port"),
        ("amqp://h1:5672,h2:x/", "has a port"),
        ("amqp://h:²/", "has a port"),
        ("amqp://::1/", "more than one colon in a host"),
        ("amqp://[::1/", "an IPv6 address in brackets"),
        ("amqp://[::1]5672/", "an IPv6 address in brackets"),
        ("amqp://[h]/", "brackets without an IPv6 address"),
        ("amqp://h1;h2/", "separate nodes by commas"),
        ("amqp://h1;amqp://h2/", "separate nodes by commas"),
        ("amqp://h1,/", "on both sides of each comma"),
        ("amqp://,h1/", "on both sides of each comma"),
        ("amqp://h1,,h2/", "on both sides of each comma"),
        ("amqp://h1,amqp:///", "on both sides of each comma"),
        ("amqp://h1/v,h2/v", "a comma in its virtual host"),
        ("amqp://h1/a,amqp://h2/b", "the same virtual host"),
        ("amqp://h/?verify=verify_none", 'has an unknown parameter "verify". Allowed: blocked_connection_timeout, '),
        ("amqp://h/?heartbeat=1&x=2", 'unknown parameter "x"'),
        ("amqp://h/?heartbeat=1,h2", 'parameter "heartbeat" that is not a whole number of seconds from 0 to 65535'),
        ("amqp://h/?heartbeat=1&heartbeat=2", 'the parameter "heartbeat" twice'),
        ("amqp://h/?ssl_options={'ca_certs':'/no/such/file'}", 'a parameter "ssl_options" that is not'),
    ],
)
def test_a_malformed_url_is_refused_with_a_sentence_that_quotes_no_password(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)) as refused:
        BrokerNodes.parse(url)

    said = str(refused.value)
    assert CANARY not in said
    assert "\n" not in said


WRONG = {
    "blocked_connection_timeout": ["x", "-1", "nan", "inf", ""],
    "channel_max": ["x", "0", "65536"],
    "client_properties": ["x", "[]", "None", "{", "1"],
    "connection_attempts": ["x", "0"],
    "frame_max": ["x", "1", "1000000"],
    "heartbeat": ["x", "-1", "1.5", "65536", ""],
    "locale": [""],
    "retry_delay": ["x", "nan"],
    "socket_timeout": ["x", "0", "-1", "nan", "inf"],
    "ssl_options": ["x", "1", "[]", "{", "{'certfile':'/no/such'}", "{'ciphers':'no'}", "(" * 5000],
    "stack_timeout": ["x", "0", "nan"],
    "tcp_options": ["x", "[]", "{'TCP_KEEPIDLE':'1'}", "{'TCP_KEEPIDLE':None}"],
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_with_a_wrong_value_is_named(name: str) -> None:
    for value in WRONG[name]:
        with pytest.raises(ValueError, match=f'has a parameter "{name}" that is not {PARAMETERS[name][:12]}'):
            BrokerNodes.parse(f"amqps://h/?{name}={value}")


def said(parse: Callable[[str], object], url: str) -> str:
    """Return the error for the URL; empty if it is valid."""
    try:
        parse(url)
    except ValueError as exc:
        return str(exc)
    return ""


@given(st.text(alphabet="aZ9:/?#[]@,;%{}'=&+ ü\\", max_size=40))
def test_any_text_is_parsed_or_refused_without_its_password(text: str) -> None:
    for parse in (BrokerNodes.parse, lambda url: ManagementNodes.parse(url, BrokerNodes.parse("amqp://h"))):
        for url in (text, f"amqp://{text}", f"http://{text}", f"amqp://u:{CANARY}{text}@h/"):
            assert CANARY not in said(parse, url)


def test_a_process_shuffles_the_nodes_and_shares_no_parameters_with_another_connection() -> None:
    broker = BrokerNodes.parse("amqp://" + ",".join(f"h{number}" for number in range(8)))
    random.seed(1)

    orders = {tuple(node.host for node in broker.shuffled("x")) for _ in range(20)}

    assert len(orders) > 10
    assert {frozenset(order) for order in orders} == {frozenset(host for host, _ in hosts(broker))}
    assert not set(map(id, broker.shuffled("x"))) & set(map(id, broker.nodes))


def test_printed_nodes_contain_no_password() -> None:
    broker = BrokerNodes.parse(f"amqp://u:{CANARY}@h1,h2")

    assert CANARY not in repr(broker) + str(broker) + repr(ManagementNodes.parse("", broker))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["http://h1:15672", "http://[::1]:15672"]),
        ("http://m", ["http://m"]),
        ("https://m1:1,m2:2/prefix/", ["https://m1:1/prefix", "https://m2:2/prefix"]),
        ("http://m1:1,https://m2", ["http://m1:1", "https://m2"]),
        ("http://m:1,m:1", ["http://m:1"]),
    ],
)
def test_management_nodes_are_those_named_or_the_brokers_hosts(text: str, expected: list[str]) -> None:
    broker = BrokerNodes.parse("amqp://h1:1,[::1]:2,h1:3")

    assert [node.url for node in ManagementNodes.parse(text, broker).nodes] == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqps://h1,h2:7", ["https://h1:15671", "https://h2:15671"]),
        ("AMQPS://h1", ["https://h1:15671"]),
        ("amqps://h1,amqp://h2", ["https://h1:15671", "http://h2:15672"]),
    ],
)
def test_the_password_of_a_broker_by_tls_goes_to_its_management_api_by_tls(url: str, expected: list[str]) -> None:
    assert [node.url for node in ManagementNodes.parse("", BrokerNodes.parse(url)).nodes] == expected


@pytest.mark.parametrize(
    "url", ["amqp://h", "h:1", "http://", "http:///x", "http://h?x=1", "http://h/a,g/b", "http://h:x", "http://h,", " "]
)
def test_a_malformed_management_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|has"):
        ManagementNodes.parse(url, BrokerNodes.parse("amqp://h"))
