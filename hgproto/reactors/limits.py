"""The named limits of a connection, above which a reactor rejects input."""

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
        buffered_bytes: int
        decoded_frame: int
        decoded_response: int
        max_payload: int
        open_streams: int
        payload_items: int
        receiving_requests: int
        request_bytes: int
        send_payload: int


__all__ = ["Limits"]

_MAX_DIGITS = 40


class Limits(Record):
    """Limits with the names of the schema, which also states the reason for each default.

    ``Limits(arguments=10)`` changes one limit and keeps the other defaults. Raises :class:`ValueError` for a value
    below 1 or above the maximum of the schema, and :class:`TypeError` for an unknown limit.
    """

    __slots__ = (
        "active_requests",
        "argument_value",
        "arguments",
        "buffered_bytes",
        "decoded_frame",
        "decoded_response",
        "max_payload",
        "open_streams",
        "payload_items",
        "receiving_requests",
        "request_bytes",
        "send_payload",
    )

    max_payload: int
    """The most bytes of a payload that a receiver accepts."""
    send_payload: int
    """The most bytes of a payload that is sent; longer data is split."""
    open_streams: int
    """The most streams that a peer may have open at a time."""
    decoded_frame: int
    """The most bytes of an encoded payload after decoding."""
    decoded_response: int
    """The most bytes of all encoded payloads of one response together, after decoding."""
    receiving_requests: int
    """The most requests that are partly received."""
    active_requests: int
    """The most requests without a complete response, including those that are partly received."""
    request_bytes: int
    """The most bytes of argument names, argument values, and data that are kept for one request."""
    buffered_bytes: int
    """The most such bytes for all partly received requests together."""
    arguments: int
    """The most arguments of one command."""
    argument_value: int
    """The most bytes of one argument's value."""
    payload_items: int
    """The most atoms, labels, and arguments of one message together, or CBOR items of one progress map."""

    if TYPE_CHECKING:

        def __init__(self, **limits: Unpack[_Settings]) -> None: ...
        def replace(self, **limits: Unpack[_Settings]) -> Self: ...  # noqa: D102

    else:

        def __init__(self, **limits: int) -> None:
            declared = default_codec().LIMITS
            names = {name.replace("-", "_"): bounds for name, bounds in declared.items()}
            for name in limits:
                if name not in names:
                    raise _unknown(name.replace("_", "-"), declared)
            for name, (default, maximum) in names.items():
                value = limits.get(name, default)
                setattr(self, name, checked_number(name, value, 1, maximum))

    @classmethod
    def of_revision(cls, revision: Definition | None = None) -> Limits:
        """Returns the defaults of a revision. Limits that its schema lacks are those of the default revision.

        ``payload_items`` is the schema's limit on items, whatever its name there.
        """
        of = defined(revision)
        return of.kept(cls, lambda: cls._of_revision(of))

    @classmethod
    def _of_revision(cls, revision: Definition) -> Limits:
        limits, declared = cls(), revision.codec.LIMITS
        for name, slots in _slots(revision).items():
            for slot in slots if name in declared else ():
                setattr(limits, slot, declared[name][0])
        return limits

    @classmethod
    def of(cls, settings: Iterable[str], revision: Definition | None = None) -> Limits:
        """Returns limits from texts such as ``request-bytes=1000``; the others are those of :meth:`of_revision`.

        Names and maxima are those of the revision. Raises as the class does, and :class:`ValueError` for a limit
        without effect.
        """
        revision = defined(revision)
        limits, slots, declared = cls._of_revision(revision), _slots(revision), revision.codec.LIMITS
        for setting in settings:
            name, equals, number = setting.partition("=")
            if not equals or not (number.isascii() and number.isdecimal() and len(number) <= _MAX_DIGITS):
                raise ValueError(f"expected NAME=N, found {shown(setting)}")
            name = name.replace("_", "-")
            if name in declared and name not in slots:
                raise ValueError(f"{name} has no effect in {revision.title}; leave it out")
            if name not in slots:
                raise _unknown(name, slots)
            _, maximum = declared[name] if name in declared else default_codec().LIMITS[name]
            value = checked_number(name.replace("-", "_"), int(number), 1, maximum)
            for slot in slots[name]:
                setattr(limits, slot, value)
        return limits


def _slots(revision: Definition) -> dict[str, list[str]]:
    """Returns the limits that have an effect in a revision: the attributes here by the name in its schema."""
    names = Limits.__slots__ if revision.has_sessions else ("max_payload",)
    slots = {name.replace("_", "-"): [name] for name in names if name != "payload_items"}
    if revision.codec.ITEMS_LIMIT is not None:
        slots.setdefault(revision.codec.ITEMS_LIMIT, []).append("payload_items")
    return slots


def _unknown(name: str, known: Iterable[str]) -> TypeError:
    return TypeError(f"there is no limit {shown(name)}; there are {', '.join(sorted(known))}")
