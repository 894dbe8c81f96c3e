"""Addresses of targets. Names are resolved once, so that connections go only to addresses that were checked."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, NamedTuple

__all__ = ["Address", "is_loopback", "resolved"]


class Address(NamedTuple):
    """A resolved address. ``name``: the given host and port. ``place``: the argument of :meth:`socket.socket.connect`."""

    name: str
    family: socket.AddressFamily
    place: Any


def resolved(host: str, port: int, *, allow_remote: bool = False) -> tuple[Address, ...]:
    """Resolves a host and a port to addresses.

    Raises :class:`ValueError` for a host that cannot be resolved, and for an address that is not a loopback address, unless
    ``allow_remote``. All addresses of a host are checked, because any of them may accept the connection.
    """
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if not 0 < port < 1 << 16:
        raise ValueError(f"{name}: expected a port from 1 to 65535, found {port}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"{name}: the host cannot be resolved: {getattr(error, 'strerror', None) or error}") from None
    addresses = tuple(Address(name, family, place) for family, _, _, _, place in found)
    for address in () if allow_remote else addresses:
        numeric = str(address.place[0])
        if not is_loopback(numeric):
            stands_for = "" if numeric == host else f", which resolves to {numeric},"
            raise ValueError(
                f"{host}{stands_for} is not a loopback address of this machine; use --allow-remote to fuzz it if it is yours"
            )
    return addresses


def is_loopback(numeric: str) -> bool:
    """True if a numeric address is a loopback address, IPv4-mapped IPv6 addresses included."""
    address: IPv4Address | IPv6Address = ip_address(numeric.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback
