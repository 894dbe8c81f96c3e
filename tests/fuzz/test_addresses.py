"""Addresses of targets: whatever name is given, the resolved address is checked, and connected to."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from hgproto.fuzz import TargetError, open_target
from hgproto.fuzz.addresses import is_loopback, resolved

NAMES = {
    "localhost": ["127.0.0.1", "::1"],
    "127.example.com": ["192.0.2.1"],
    "localhost.example.com": ["192.0.2.1"],
    "both.example.com": ["127.0.0.1", "192.0.2.1"],
    "home.example.com": ["127.0.0.1"],
    "mapped.example.com": ["::ffff:192.0.2.1"],
}


@pytest.fixture
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of a name server; numbers are read by the system."""
    system = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        found = NAMES.get(host)
        if found is None:
            return system(host, port, flags=socket.AI_NUMERICHOST, **options)
        return [one for number in found for one in system(number, port, flags=socket.AI_NUMERICHOST, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.usefixtures("_names")
@pytest.mark.parametrize(
    ("host", "numbers"),
    [
        ("127.0.0.1", {"127.0.0.1"}),
        ("127.1", {"127.0.0.1"}),
        ("127.255.0.3", {"127.255.0.3"}),
        ("2130706433", {"127.0.0.1"}),
        ("0177.0.0.1", {"127.0.0.1"}),
        ("0x7f.0.0.1", {"127.0.0.1"}),
        ("::1", {"::1"}),
        ("::ffff:127.0.0.1", {"::ffff:127.0.0.1"}),
        ("localhost", {"127.0.0.1", "::1"}),
        ("home.example.com", {"127.0.0.1"}),
    ],
)
def test_a_loopback_address_is_this_machine_however_it_is_written(host: str, numbers: set[str]) -> None:
    assert {address.place[0] for address in resolved(host, 80)} == numbers


@pytest.mark.usefixtures("_names")
@pytest.mark.parametrize(
    ("host", "message"),
    [
        (
            "127.example.com",
            "127.example.com, which resolves to 192.0.2.1, is not a loopback address of this machine; use --allow-remote ",
        ),
        (
            "localhost.example.com",
            "localhost.example.com, which resolves to 192.0.2.1, is not a loopback address of this machine",
        ),
        (
            "both.example.com",
            "both.example.com, which resolves to 192.0.2.1, is not a loopback address of this machine",
        ),
        (
            "mapped.example.com",
            "mapped.example.com, which resolves to ::ffff:192.0.2.1, is not a loopback address of this machine",
        ),
        ("192.0.2.1", "192.0.2.1 is not a loopback address of this machine"),
        ("3221225985", "3221225985, which resolves to 192.0.2.1, is not a loopback address of this machine"),
        ("0300.0.2.1", "0300.0.2.1, which resolves to 192.0.2.1, is not a loopback address of this machine"),
        ("2001:db8::1", "2001:db8::1 is not a loopback address of this machine"),
        ("0.0.0.0", "0.0.0.0 is not a loopback address of this machine"),  # noqa: S104 - nothing is bound
        ("no.example.com", r"no.example.com:80: the host cannot be resolved: "),
        ("a..b", r"a..b:80: the host cannot be resolved: "),
    ],
)
def test_any_other_address_is_not(host: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        resolved(host, 80)
    target = f"[{host}]:80" if ":" in host else f"tcp://{host}:80"
    with pytest.raises(TargetError, match=f"^{message}"):
        open_target(target)


@pytest.mark.usefixtures("_names")
def test_another_machine_is_fuzzed_only_when_told() -> None:
    assert {address.place[0] for address in resolved("both.example.com", 80, allow_remote=True)} == {
        "127.0.0.1",
        "192.0.2.1",
    }


@pytest.mark.parametrize("port", [0, 65536, 99999])
def test_a_port_is_one_that_there_is(port: int) -> None:
    with pytest.raises(ValueError, match=f"127.0.0.1:{port}: expected a port from 1 to 65535, found {port}"):
        resolved("127.0.0.1", port)


def test_a_scope_does_not_matter() -> None:
    assert is_loopback("::1%lo")
    assert not is_loopback("fe80::1%lo")


def test_a_name_is_resolved_once_and_not_again_when_it_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        # The next answer would be another machine.
        number = "127.0.0.1" if len(asked) == 1 else "192.0.2.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port))]

    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        target = open_target(f"changing.example.com:{server.getsockname()[1]}", seconds=0.2)
        for _ in range(2):
            assert target.run(b"abc").hung
    assert asked == ["changing.example.com"]
