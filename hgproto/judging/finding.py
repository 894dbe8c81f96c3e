"""Findings: what the validator says of bytes."""

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
"""From the worst on."""

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
    """A rule that bytes break, where, and how.

    ``requirement``: the rule, with its words and its level. ``severity``: ``error``, ``warning`` or ``note``. ``offset``:
    of the first byte concerned, from the start of the input; with what is missing, where it would be. ``size``: how many
    are concerned, 0 where something is missing. ``bits``: the lowest and the highest bit concerned of the little-endian
    number that those bytes are; None for all. ``side``: who sent them, ``client`` or ``server``; None where it does not
    matter. ``frame``: the number of the frame in the input, from 0; None where there is no frame. ``path``: the field, as
    ``frames[3].payload.atoms[0].labels[1]``. ``expected``, ``found``: the two sides of the matter. ``refused``: whether a
    receiver refuses this; else it is only worth knowing. ``ends``: nothing after this place could be looked at. ``around``:
    the bytes around the place, and ``around_offset`` where they start in the input. ``line``: of a session in human form,
    the number of the line, else None. ``about``: the frame in words, empty where there is none. ``more``: the number of
    other violations of the same requirement in the same frame that this finding stands for; 0 for most findings.
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
        """What was expected and what was found."""
        return f"expected {self.expected}, found {self.found}"

    @property
    def rule(self) -> str:
        """The sentence that was broken, and whose it is where it is not the source's."""
        ours = " (our resolution: the source is silent)" if self.requirement.source == "ours" else ""
        return f"{self.requirement.sentence}{ours}"

    @property
    def link(self) -> str:
        """The place of the rule in the reference site, relative to its root."""
        return f"requirements.html#{self.id}"

    def __str__(self) -> str:
        return f"{self.path or 'input'} at offset {self.offset}: {self.severity}: {self.message} ({self.id})"


def severity_of(requirement: Requirement) -> str:
    """How bad it is to break a rule, from its level: MUST an error, SHOULD a warning, a limit of the receiver's a note.

    The schema can give a requirement another severity.
    """
    if requirement.severity is not None:
        return requirement.severity
    return {"MUST": ERROR, "MUST NOT": ERROR, "SHOULD": WARNING}.get(requirement.level, NOTE)


def count(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings there are of each severity."""
    counts = dict.fromkeys(SEVERITIES, 0)
    for finding in findings:
        counts[finding.severity] += 1
    return counts
