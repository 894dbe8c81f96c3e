"""Advisory requirements: no receiver enforces them, but the validator reports violations in decoded payloads.

Each check receives a value that the codec has decoded, and yields remarks. Their offsets count from the start of the
payload.

Invariants: a check walks the payload once, even if it has many violations. At most :data:`MOST_REMARKS` remarks about
one requirement are created for a payload, and one more with the number of the others.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from hgproto.errors import RemoteProtocolError, counted
from hgproto.runtime.cbor import map_pairs
from hgproto.runtime.layout import walk_from

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from hgproto.runtime.definition import Definition
    from hgproto.runtime.frame import Frame

__all__ = ["MOST_REMARKS", "Remark", "Tally", "findable", "payload_remarks", "progress_remarks", "text_remarks"]

MOST_REMARKS = 100
"""The most remarks about one requirement in one frame. A remark needs a kilobyte for a violation of one or two bytes."""

_CHECKS = ("placeholders", "percent", "newline", "ascii-topic")
"""The checks of this module, which are for one payload."""
_PERCENT = re.compile(r"%(.|\Z)", re.DOTALL)
_FORMAT = "format"


class Remark(NamedTuple):
    """A violation of an advisory requirement.

    ``size``: the number of affected bytes; None for the whole field. ``more``: the number of other violations of the
    same requirement in the same frame that the remark represents.
    """

    error: RemoteProtocolError
    size: int | None = None
    more: int = 0


class Tally:
    """A source of remarks about one requirement, up to the bound.

    ``total``: the number of violations. ``left``: the number of violations without a remark.
    """

    __slots__ = ("_room", "left")

    def __init__(self, total: int) -> None:
        self.left = total
        # A summary of a single violation would save nothing.
        self._room = total if total <= MOST_REMARKS + 1 else MOST_REMARKS

    def remark(self, error: RemoteProtocolError, size: int | None = None) -> Remark:
        """Returns the next remark, which represents all remaining violations once the bound is reached."""
        if self._room:
            self._room -= 1
            self.left -= 1
            return Remark(error, size)
        more, self.left = self.left - 1, 0
        found = f"{counted(more + 1, 'more violation')} of this requirement"
        return Remark(
            RemoteProtocolError(error.requirement, error.offset, error.field, error.expected, found), size, more
        )


def text_remarks(atoms: tuple[Any, ...], payload: bytes, revision: Definition) -> Iterator[Remark]:
    """Yields remarks about the atoms of a message, for the checks ``placeholders``, ``percent``, and ``newline``."""
    rules = revision.roles.CHECKS
    mismatches = percents = 0
    for atom in atoms:
        if "%" in atom.format:
            wanted, bad = _directives(atom.format)
            mismatches += wanted != len(atom.args)
            percents += bad
        elif atom.args:
            mismatches += 1
    mismatches *= "placeholders" in rules
    percents *= "percent" in rules
    if mismatches or percents:
        yield from _directive_remarks(
            atoms,
            payload,
            Tally(mismatches),
            Tally(percents),
            revision,
        )
    if "newline" in rules and atoms and not _ends_line(atoms[-1]):
        path = f"atoms[{len(atoms) - 1}].{_FORMAT}"
        atom = _Atoms(revision)
        start, end = atom.format_of(payload, len(payload) - atom.size(atoms[-1]))
        text = atoms[-1].format
        # The last character is at fault; an empty format has none.
        at = max(end - len(text[-1:].encode()), start)
        found = repr(text[-1:]) if text else "an empty text"
        expected = "a newline at the end of the last atom"
        yield Remark(RemoteProtocolError(rules["newline"], at, path, expected, found), end - at)


def _directive_remarks(
    atoms: tuple[Any, ...], payload: bytes, mismatches: Tally, percents: Tally, revision: Definition
) -> Iterator[Remark]:
    """Yields remarks about the directives of formats, and about the numbers of their arguments."""
    rules, layout, at = revision.roles.CHECKS, _Atoms(revision), 0
    for index, atom in enumerate(atoms):
        format_ = atom.format
        wanted, bad = _directives(format_)
        if wanted != len(atom.args) or bad:
            path = f"atoms[{index}].{_FORMAT}"
            start, end = layout.format_of(payload, at)
            if wanted != len(atom.args) and mismatches.left:
                expected = f"as many arguments as the format has %s, which is {wanted}"
                found = str(len(atom.args))
                error = RemoteProtocolError(rules["placeholders"], start, path, expected, found)
                yield mismatches.remark(error, end - start)
            if bad and percents.left:
                done, place = 0, start
                for match in _PERCENT.finditer(format_):
                    if match[1] not in ("%", "s"):
                        place += len(format_[done : match.start()].encode())
                        done = match.start()
                        error = RemoteProtocolError(rules["percent"], place, path, "%s or %%", repr(match[0]))
                        yield percents.remark(error, end - place)
                        if not percents.left:
                            break
        if not (mismatches.left or percents.left):
            return
        at += layout.size(atom)


def _directives(format_: str) -> tuple[int, int]:
    """Returns the number of ``%s`` in a format, and of percent signs outside of ``%s`` and ``%%``."""
    plain = format_.replace("%%", "")
    wanted = plain.count("%s")
    return wanted, plain.count("%") - wanted


class _Atoms:
    """The layout of the atoms of a message."""

    def __init__(self, revision: Definition) -> None:
        codec = revision.codec
        message = codec.LAYOUTS[codec.PAYLOADS[revision.code_of("text")][-1][2]]
        layout = message.parts[-1].layout
        if layout is None:
            raise ValueError(f"the messages of {revision.title} have no atoms; leave out the checks of atoms")
        self._layout = layout
        _, _, self._encode = codec.STRUCTURES[layout.name]

    def format_of(self, payload: bytes, at: int) -> tuple[int, int]:
        """Returns the start and end of the format of the atom at offset ``at``."""
        return next((span.start, span.end) for span in walk_from(self._layout, payload, at) if span.path == _FORMAT)

    def size(self, atom: Any) -> int:
        """Returns the size of an atom in bytes."""
        return len(self._encode(atom))


def _ends_line(atom: Any) -> bool:
    """Returns True if the text of an atom, with its arguments, ends in a newline."""
    text: str = atom.format
    # A final `s` belongs to a directive only after an odd number of percent signs.
    body = text[:-1]
    if text.endswith("s") and (len(body) - len(body.rstrip("%"))) % 2:
        count, _ = _directives(text)
        return len(atom.args) >= count and str(atom.args[count - 1]).endswith("\n")
    return text.endswith("\n")


def progress_remarks(progress: Any, payload: bytes, revision: Definition) -> Iterator[Remark]:
    """Yields remarks about a progress map, for the check ``ascii-topic``."""
    rule = revision.roles.CHECKS.get("ascii-topic")
    if rule is not None and not progress.topic.isascii():
        pairs, _, _ = map_pairs(payload)
        at, end = next((value_at, end) for key, _, value_at, end in pairs if key == b"topic")
        odd = sum(not character.isascii() for character in progress.topic)
        found = f"{counted(odd, 'character')} that are not" if odd > 1 else "1 character that is not"
        yield Remark(RemoteProtocolError(rule, at, "topic", "a topic in ASCII", found), end - at)


def payload_remarks(
    frame: Frame, continued: bool, revision: Definition, max_items: int | None = None
) -> Iterator[tuple[Remark, bool]]:
    """Yields the remarks about a payload, each with True if a receiver rejects it. Offsets count from its start.

    ``max_items``: the limit on its items; None for the default of the revision, if any.
    """
    most = {} if max_items is None else {"max_items": max_items}
    try:
        value = revision.codec.decode_payload(frame, continued, **most)
    except RemoteProtocolError as error:
        yield Remark(error), True
        return
    if int(frame.stream_flags) & revision.encoded:
        return
    payload, roles = bytes(frame.payload), revision.roles.FRAMES
    if roles.get("text") == int(frame.type):
        yield from ((remark, False) for remark in text_remarks(value.atoms, payload, revision))
    elif roles.get("progress") == int(frame.type):
        yield from ((remark, False) for remark in progress_remarks(value, payload, revision))


def findable(revision: Definition, depth: str, role: str | None, payload: str | None) -> frozenset[str]:
    """Returns the requirements whose violations can be found in bytes.

    ``depth``, ``role``: as for :class:`hgproto.Validator`. ``payload``: the frame type of a single payload; None for
    frames.
    """
    codec: Any = revision.codec
    is_shallow = payload is not None or depth == "frames"
    checks: dict[str, str] = revision.roles.CHECKS
    advisory = {checks[check] for check in _CHECKS if check in checks}
    found = set()
    for name, requirement in revision.requirements.items():
        is_seen = name in advisory or (requirement.enforced == "codec" and requirement.breakable)
        if payload is not None:
            is_seen = is_seen and any(_is_of_payload(place, payload, codec) for place in requirement.places)
        is_of_sessions = not is_shallow and requirement.enforced in ("machine", "validator")
        if is_seen or is_of_sessions:
            found.add(name)
    if payload is None and role is not None:
        found.add(str(revision.machines.STREAM_PARITY["requirement"]))
    return frozenset(found)


def _is_of_payload(place: str, payload: str, codec: Any) -> bool:
    """Returns True if the place of a requirement is in the payload of a frame type, or is the limit on its length."""
    where, _, kind = place.partition(": ")
    if where.startswith("structures."):
        cases = codec.PAYLOADS[codec.CODES[payload]]
        return any(where.split(".")[1] in _structures(name, codec) for _, _, name in cases)
    if where == f"frames.{payload}":
        return kind in _CHECKS
    return where == f"frames.{payload}.payload" or (where.startswith("header.") and kind == "limit")


def _structures(name: str, codec: Any) -> Iterator[str]:
    """Yields the name of a structure and those of its nested structures. Yields another name unchanged."""
    yield name
    for part in codec.LAYOUTS[name].parts if name in codec.LAYOUTS else ():
        if part.layout is not None:
            yield from _structures(part.layout.name, codec)
