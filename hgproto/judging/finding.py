"""Findings, the problems that the validator reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from hgproto.errors import shown
from hgproto.runtime.frame import Record

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from hgproto.runtime.catalogue import Requirement

__all__ = [
    "ERROR",
    "NOTE",
    "ROLES",
    "SEVERITIES",
    "WARNING",
    "Finding",
    "Role",
    "checked_role",
    "count",
    "other_role",
    "severity_of",
]

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
"""The severities, worst first."""

Role: TypeAlias = Literal["client", "server"]
"""A side of a connection."""
ROLES: tuple[Role, ...] = ("client", "server")


def checked_role(role: Role) -> Role:
    """Returns the role of a side of a connection. Raises :class:`ValueError` for another word."""
    if role not in ROLES:
        raise ValueError(f"role is 'client' or 'server', not {shown(role)}")
    return role


def other_role(role: Role) -> Role:
    """Returns the role of the other side."""
    return "server" if role == "client" else "client"


class Finding(Record):
    """A violation of a requirement, with its place.

    ``requirement``: the violated requirement. ``severity``: ``error``, ``warning``, or ``note``. ``offset``: that of
    the first affected byte, from the start of the input; for missing bytes, their place. ``size``: the number of
    affected bytes, 0 if bytes are missing. ``bits``: the lowest and the highest affected bit of these bytes, read as a
    little-endian number; None for all. ``side``: the sender, ``client`` or ``server``; None if it does not matter.
    ``frame``: the number of the frame in the input, from 0, or None. ``path``: the field, such as
    ``frames[3].payload.atoms[0].labels[1]``. ``expected``, ``found``: texts. ``refused``: True if a receiver rejects
    the frame; False for advice. ``ends``: True if nothing after this place could be checked. ``around``: the bytes
    around the place; they start at ``around_offset`` in the input. ``line``: the line number in a session in human
    form, or None. ``about``: a description of the frame, or empty. ``more``: the number of other violations of the same
    requirement in the same frame that this finding represents, usually 0.
    """

    __slots__ = (  # noqa: RUF023 - in the order of use
        "requirement",
        "severity",
        "offset",
        "size",
        "bits",
        "side",
        "frame",
        "path",
        "expected",
        "found",
        "refused",
        "ends",
        "around",
        "around_offset",
        "line",
        "about",
        "more",
    )

    def __init__(
        self,
        requirement: Requirement,
        severity: str,
        offset: int,
        size: int,
        bits: tuple[int, int] | None,
        side: Role | None,
        frame: int | None,
        path: str,
        expected: str,
        found: str,
        refused: bool = True,
        ends: bool = False,
        around: bytes = b"",
        around_offset: int = 0,
        line: int | None = None,
        about: str = "",
        more: int = 0,
    ) -> None:
        self.requirement = requirement
        self.severity = severity
        self.offset = offset
        self.size = size
        self.bits = bits
        self.side = side
        self.frame = frame
        self.path = path
        self.expected = expected
        self.found = found
        self.refused = refused
        self.ends = ends
        self.around = around
        self.around_offset = around_offset
        self.line = line
        self.about = about
        self.more = more

    if TYPE_CHECKING:

        def replace(  # noqa: D102
            self,
            *,
            requirement: Requirement = ...,
            severity: str = ...,
            offset: int = ...,
            size: int = ...,
            bits: tuple[int, int] | None = ...,
            side: Role | None = ...,
            frame: int | None = ...,
            path: str = ...,
            expected: str = ...,
            found: str = ...,
            refused: bool = ...,
            ends: bool = ...,
            around: bytes = ...,
            around_offset: int = ...,
            line: int | None = ...,
            about: str = ...,
            more: int = ...,
        ) -> Self: ...

    @property
    def id(self) -> str:
        """The id of the requirement."""
        return self.requirement.id

    @property
    def message(self) -> str:
        """The message without the place."""
        return f"expected {self.expected}, found {self.found}"

    @property
    def rule(self) -> str:
        """The sentence of the violated requirement, with a remark if it is not from the source."""
        ours = " (our resolution: the source is silent)" if self.requirement.source == "ours" else ""
        return f"{self.requirement.sentence}{ours}"

    @property
    def link(self) -> str:
        """The address of the requirement on the documentation site, relative to its root."""
        return f"requirements.html#{self.id}"

    def __str__(self) -> str:
        return f"{self.path or 'input'} at offset {self.offset}: {self.severity}: {self.message} ({self.id})"


def severity_of(requirement: Requirement) -> str:
    """Returns the severity of a violation by the level of the requirement: MUST an error, SHOULD a warning, else a note.

    The schema can set another severity.
    """
    if requirement.severity is not None:
        return requirement.severity
    return {"MUST": ERROR, "MUST NOT": ERROR, "SHOULD": WARNING}.get(requirement.level, NOTE)


def count(findings: Iterable[Finding]) -> dict[str, int]:
    """Returns the number of findings of each severity."""
    counts = dict.fromkeys(SEVERITIES, 0)
    for finding in findings:
        counts[finding.severity] += 1
    return counts
