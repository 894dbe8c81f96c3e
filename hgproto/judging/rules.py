"""Rules that no receiver refuses to see broken, since it can go on: what is wrong by them with a decoded payload.

Each check takes a value that the codec has decoded, and gives remarks whose offsets count from the start of its payload.

Invariants: a check goes through the payload once, however much is wrong with it; at most :data:`MOST_REMARKS` remarks about
one requirement are made of a payload, and one more stands for the rest, which is counted and not made.
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
"""The most remarks about one requirement in one frame. More of them say nothing new about their sender, and each takes a
kilobyte, while a byte or two of a payload can be at fault by themselves."""

_CHECKS = ("placeholders", "percent", "newline", "ascii-topic")
"""The checks of this module, which look at one payload."""
_PERCENT = re.compile(r"%(.|\Z)", re.DOTALL)
_FORMAT = "format"


class Remark(NamedTuple):
    """A violation of an advisory requirement.

    ``size``: how many bytes are concerned, None for as many as the field has. ``more``: other violations of the same
    requirement in the same frame that it stands for.
    """

    error: RemoteProtocolError
    size: int | None = None
    more: int = 0


class Tally:
    """Makes remarks about one requirement, up to the bound.

    ``total``: how many violations there are. ``left``: those that no remark was made of, or stands for, yet.
    """

    __slots__ = ("_room", "left")

    def __init__(self, total: int) -> None:
        self.left = total
        # To let one remark stand for a single violation would gain nothing.
        self._room = total if total <= MOST_REMARKS + 1 else MOST_REMARKS

    def remark(self, error: RemoteProtocolError, size: int | None = None) -> Remark:
        """The next remark, which stands for all that are left once the bound is reached."""
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
    """What is wrong with the atoms of a message: the checks ``placeholders``, ``percent``, and ``newline`` of the schema."""
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
        # The last byte is the culprit; an empty format has none.
        at = max(end - len(text[-1:].encode()), start)
        found = repr(text[-1:]) if text else "an empty text"
        expected = "a newline at the end of the last atom"
        yield Remark(RemoteProtocolError(rules["newline"], at, path, expected, found), end - at)


def _directive_remarks(
    atoms: tuple[Any, ...], payload: bytes, mismatches: Tally, percents: Tally, revision: Definition
) -> Iterator[Remark]:
    """What is wrong with the directives of the formats, and the number of their arguments."""
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
    """How many ``%s`` a format has, and how many percent signs that are neither of that nor of ``%%``."""
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
            raise ValueError(f"the messages of {revision.title} are not made of atoms; leave out the checks of them")
        self._layout = layout
        _, _, self._encode = codec.STRUCTURES[layout.name]

    def format_of(self, payload: bytes, at: int) -> tuple[int, int]:
        """Where the format of the atom at offset ``at`` starts and ends."""
        return next((span.start, span.end) for span in walk_from(self._layout, payload, at) if span.path == _FORMAT)

    def size(self, atom: Any) -> int:
        """The bytes of an atom."""
        return len(self._encode(atom))


def _ends_line(atom: Any) -> bool:
    """Whether an atom ends in a newline once its arguments are in it."""
    text: str = atom.format
    # What stands at the end is a directive only if an odd number of percent signs comes before its letter.
    body = text[:-1]
    if text.endswith("s") and (len(body) - len(body.rstrip("%"))) % 2:
        count, _ = _directives(text)
        return len(atom.args) >= count and str(atom.args[count - 1]).endswith("\n")
    return text.endswith("\n")


def progress_remarks(progress: Any, payload: bytes, revision: Definition) -> Iterator[Remark]:
    """What is wrong with a progress map: the check ``ascii-topic`` of the schema."""
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
    """Yields what is wrong with a payload, each with True if a receiver rejects it; offsets count from its start.

    ``max_items``: the limit on its items, None for the default of the revision, which may have none.
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

    ``depth``, ``role``: as of :class:`hgproto.Validator`. ``payload``: the frame type of a single payload; None for frames.
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
    """True if the place of a requirement is in the payload of a frame type, or is the limit on its length."""
    where, _, kind = place.partition(": ")
    if where.startswith("structures."):
        cases = codec.PAYLOADS[codec.CODES[payload]]
        return any(where.split(".")[1] in _structures(name, codec) for _, _, name in cases)
    if where == f"frames.{payload}":
        return kind in _CHECKS
    return where == f"frames.{payload}.payload" or (where.startswith("header.") and kind == "limit")


def _structures(name: str, codec: Any) -> Iterator[str]:
    """Yields the names of a structure and of those in it; that of a string as it is."""
    yield name
    for part in codec.LAYOUTS[name].parts if name in codec.LAYOUTS else ():
        if part.layout is not None:
            yield from _structures(part.layout.name, codec)
