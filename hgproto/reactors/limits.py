"""The named limits of a connection: what a reactor takes before it says no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.errors import shown
from hgproto.runtime.definition import default_codec, defined
from hgproto.runtime.frame import Record, checked_number

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self, TypedDict, Unpack

    from hgproto.runtime.definition import Definition

    class _Settings(TypedDict, total=False):
        active_requests: int
        argument_value: int
        arguments: int
        buffered_octets: int
        decoded_frame: int
        decoded_response: int
        max_payload: int
        open_streams: int
        payload_items: int
        receiving_requests: int
        request_octets: int
        send_payload: int


__all__ = ["Limits"]

_MAX_DIGITS = 40


class Limits(Record):
    """Limits by the names of the schema, which has the reason for each default.

    ``Limits(arguments=10)`` has the schema's defaults but for one. Raises :class:`ValueError` for a limit under 1 or over
    what the schema allows, and :class:`TypeError` for one that there is not.
    """

    __slots__ = (
        "active_requests",
        "argument_value",
        "arguments",
        "buffered_octets",
        "decoded_frame",
        "decoded_response",
        "max_payload",
        "open_streams",
        "payload_items",
        "receiving_requests",
        "request_octets",
        "send_payload",
    )

    max_payload: int
    """Octets of a payload that a receiver takes."""
    send_payload: int
    """Octets at which payloads that we send are cut."""
    open_streams: int
    """Streams that a peer may hold open at a time."""
    decoded_frame: int
    """Octets that an encoded payload may grow to."""
    decoded_response: int
    """Octets that all encoded payloads of one response may grow to together."""
    receiving_requests: int
    """Requests of which a part was received."""
    active_requests: int
    """Requests whose response is not complete, those that are partly received among them."""
    request_octets: int
    """Octets of argument names, argument values and data that are kept for one request."""
    buffered_octets: int
    """The same, for all partly received requests together."""
    arguments: int
    """Arguments of one command."""
    argument_value: int
    """Octets of one argument's value."""
    payload_items: int
    """Atoms, labels and arguments of one message together, or CBOR items of one progress map."""

    if TYPE_CHECKING:

        def __init__(self, **limits: Unpack[_Settings]) -> None: ...
        def replace(self, **limits: Unpack[_Settings]) -> Self: ...  # noqa: D102

    else:

        def __init__(self, **limits: int) -> None:
            declared = default_codec().LIMITS
            names = {name.replace("-", "_"): bounds for name, bounds in declared.items()}
            for name in limits:
                if name not in names:
                    known = ", ".join(sorted(declared))
                    raise TypeError(f"there is no limit {shown(name.replace('_', '-'))}; there are {known}")
            for name, (default, maximum) in names.items():
                value = limits.get(name, default)
                setattr(self, name, checked_number(name, value, 1, maximum))

    @classmethod
    def of_revision(cls, revision: Definition | None = None) -> Limits:
        """Returns the defaults of a revision. A limit that its schema does not have is that of the default revision."""
        of = defined(revision)
        return of.kept(cls, lambda: cls._of_revision(of))

    @classmethod
    def _of_revision(cls, revision: Definition) -> Limits:
        limits = cls()
        for name in cls.__slots__:
            if name.replace("_", "-") in revision.codec.LIMITS:
                setattr(limits, name, revision.limit(name)[0])
        return limits

    @classmethod
    def of(cls, settings: Iterable[str], revision: Definition | None = None) -> Limits:
        """Limits from texts such as ``request-octets=1000``, the others as of :meth:`of_revision`. Raises as the class does."""
        values = {}
        for setting in settings:
            name, equals, number = setting.partition("=")
            if not equals or not (number.isascii() and number.isdecimal() and len(number) <= _MAX_DIGITS):
                raise ValueError(f"expected NAME=N, found {shown(setting)}")
            values[name.replace("-", "_")] = int(number)
        return cls.of_revision(defined(revision)).replace(**values)
