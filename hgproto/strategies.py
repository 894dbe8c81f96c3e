"""Hypothesis strategies for valid frames and sessions, and for sessions that violate exactly one requirement.

The strategies are derived from the tables of a revision's codec, so they also cover a frame type that a schema adds. Needs
Hypothesis (``pip install 'hgproto[hypothesis]'``). Examples shrink to the simplest frame and the shortest session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hgproto.errors import shown
from hgproto.system.extras import Extra

with Extra("hypothesis", "Hypothesis", "hgproto.strategies"):
    from hypothesis import reject
    from hypothesis import strategies as st

from hgproto.runtime.definition import defined
from hgproto.samples import Choices, Line, session, violate
from hgproto.samples.broken import checked_breakable
from hgproto.samples.frames import FrameMaker, NotMadeError, TooSmallLimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgproto.judging.finding import Role
    from hgproto.runtime.definition import Definition
    from hgproto.runtime.frame import Frame
    from hgproto.streams.encodings import Encodings

__all__ = ["Drawn", "chunkings", "frames", "headers", "invalid", "payloads", "sessions", "values"]


class Drawn(Choices):
    """Choices that Hypothesis makes and shrinks. ``draw``: the argument of a composite strategy."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self._draw = draw

    def below(self, end: int) -> int:
        """Returns a number from 0 to ``end`` - 1."""
        return int(self._draw(st.integers(0, end - 1)))

    def any_bytes(self, least: int, most: int) -> bytes:
        """Returns ``least`` to ``most`` random bytes."""
        return bytes(self._draw(st.binary(min_size=least, max_size=most)))


def frames(
    type: str | None = None, *, continued: bool = False, encoded: bool = False, revision: Definition | None = None
) -> st.SearchStrategy[Frame]:
    """Returns a strategy for frames that are valid by themselves.

    ``type``: the name of the frame type; None for any. ``continued``: True for frames that continue the payload of an earlier
    frame. ``encoded``: True if payloads may be encoded, and thus arbitrary bytes. Raises :class:`ValueError` for an unknown
    type, and for a type for which a limit of the revision allows no frame.
    """
    if type is None:
        codec = defined(revision).codec
        types = [
            name for name in codec.CODES if encoded or _is_allowed(FrameMaker(revision), codec.CODES[name], continued)
        ]
        return st.sampled_from(sorted(types, key=codec.CODES.__getitem__)).flatmap(
            lambda name: frames(name, continued=continued, encoded=encoded, revision=revision)
        )
    maker, code = _maker(revision, type)
    if not encoded:
        _check_limits(maker, code, None, continued)

    @st.composite
    def made(draw: st.DrawFn) -> Frame:
        try:
            return maker.frame(Drawn(draw), code, continued=continued, encoded=encoded)
        except NotMadeError:
            reject()

    return made()


def headers(type: str | None = None, *, revision: Definition | None = None) -> st.SearchStrategy[bytes]:
    """Returns a strategy for the headers of valid frames, in bytes. The payloads do not follow."""
    codec = defined(revision).codec
    return frames(type, revision=revision).map(codec.encode_header)


def payloads(
    type: str, *, flags: int = 0, continued: bool = False, revision: Definition | None = None
) -> st.SearchStrategy[bytes]:
    """Returns a strategy for valid payloads of a frame type, in bytes.

    ``flags``: the frame's flags; only those that select the structure of the payload matter. ``continued``: as for
    :func:`frames`. Raises :class:`ValueError` for an unknown type, or if a limit of the revision allows no such payload.
    """
    maker, code = _maker(revision, type)
    _check_limits(maker, code, flags, continued)

    @st.composite
    def made(draw: st.DrawFn) -> bytes:
        try:
            return maker.payload(Drawn(draw), code, flags=flags, continued=continued)
        except NotMadeError:
            reject()

    return made()


def values(
    type: str, *, flags: int = 0, continued: bool = False, revision: Definition | None = None
) -> st.SearchStrategy[Any]:
    """Returns a strategy for decoded payloads: records, strings, or bytes. Arguments are those of :func:`payloads`."""
    maker, code = _maker(revision, type)
    frame = maker.codec.make_frame(0, 0, 0, code, flags, b"")
    data = payloads(type, flags=flags, continued=continued, revision=revision)
    return data.map(lambda payload: maker.codec.decode_payload(frame.replace(payload=payload), continued))


def sessions(role: Role | None = None, *, encodings: Encodings | None = None) -> st.SearchStrategy[list[Line]]:
    """Returns a strategy for valid sessions of framing-0002: the lines that each side sends, before content encoding.

    :func:`hgproto.samples.wires` returns their bytes. ``role``: ``client`` or ``server`` for the lines of one side; None for
    both sides. ``encodings``: the content encodings that streams may name.
    """
    if role not in (None, "client", "server"):
        raise ValueError(f"a role is client or server, not {shown(role)}")

    @st.composite
    def made(draw: st.DrawFn) -> list[Line]:
        lines = session(Drawn(draw), encodings=encodings)
        return lines if role is None else [line for line in lines if line.side == role]

    return made()


def invalid(
    requirement: str, *, role: Role | None = None, encodings: Encodings | None = None
) -> st.SearchStrategy[list[Line]]:
    """Returns a strategy for sessions of framing-0002 that violate one requirement and, for the validator, no other.

    ``role``: the side that violates it, ``client`` or ``server``; None for either. The lines are those of both sides in any case.
    ``encodings``: as for :func:`sessions`. Raises :class:`ValueError` for an unknown requirement, and for one that bytes of
    that side cannot violate; the message has the reason. :func:`hgproto.samples.breakable` returns all others.
    """
    checked_breakable(requirement, role, encodings)

    @st.composite
    def made(draw: st.DrawFn) -> list[Line]:
        choices = Drawn(draw)
        lines = violate(requirement, session(choices, encodings=encodings), choices, role=role, encodings=encodings)
        assert lines is not None  # noqa: S101 - checked_breakable() has checked it
        return lines

    return made()


def chunkings(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """Returns a strategy for lists of chunks that ``data`` is cut into. Chunks may be empty."""
    places = st.lists(st.integers(0, len(data)), max_size=8).map(sorted)
    return places.map(lambda cuts: [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)])


def _maker(revision: Definition | None, type: str) -> tuple[FrameMaker, int]:
    """Returns the builder of a revision's frames and the number of a type. Raises :class:`ValueError` for an unknown type."""
    codec = defined(revision).codec
    if type not in codec.CODES:
        raise ValueError(f"there is no frame type {shown(type)}; there are {', '.join(codec.CODES)}")
    return FrameMaker(revision, tries=2), codec.CODES[type]


def _check_limits(maker: FrameMaker, code: int, flags: int | None, continued: bool) -> None:
    """Raises :class:`ValueError` if a limit allows no frame of a type with these flags. ``flags``: None for any flags."""
    try:
        maker.check_limits(code, flags=flags, continued=continued)
    except TooSmallLimitError as error:
        raise ValueError(str(error)) from None


def _is_allowed(maker: FrameMaker, code: int, continued: bool) -> bool:
    """True if the limits allow a frame of a type."""
    try:
        maker.check_limits(code, continued=continued)
    except TooSmallLimitError:
        return False
    return True
