"""Worked bytes that show a requirement, from the examples of the schema and from the vectors and sessions beside it.

An example is valid, or it has the violation for which it was chosen. The validator locates the violation, so an example shows
the same report that a user gets.
"""

from __future__ import annotations

import json
from contextlib import suppress
from difflib import SequenceMatcher
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from hgproto.errors import RemoteProtocolError
from hgproto.judging.validation import SessionValidator, Validator
from hgproto.language.names import snake
from hgproto.reactors.limits import Limits
from hgproto.revisions.revision import DEFAULT_REVISION
from hgproto.wire.human import format_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from hgproto.judging.finding import Finding, Role
    from hgproto.language.model import Example as SchemaExample
    from hgproto.revisions.revision import Revision

__all__ = ["Example", "Examples", "Fault", "Step"]

_COMPARED_BYTES = 1000
"""The number of bytes of an example that are compared with others. Shorter examples are preferred anyway."""


class Step(NamedTuple):
    """A frame of an example, or bytes that are not a frame.

    ``side``: the sender, ``client`` or ``server``; None if it does not matter. ``data``: the bytes on the wire; None where the
    output of the side ends. ``human``: the frame in human form, with its payload before content encoding; empty for bytes that
    are not a frame.
    """

    side: Role | None
    data: bytes | None
    human: str


class Fault(NamedTuple):
    """The place at which an example violates a requirement.

    ``step``: the number of the step, from 0. ``offset``: the first byte at fault, from the start of the step. ``size``: the
    number of bytes at fault, 0 if something is missing. ``bits``: the lowest and the highest bit at fault, None for all.
    ``path``: the field. ``expected``, ``found``: as in the finding. ``refused``: True if a receiver rejects the violation.
    """

    step: int
    offset: int
    size: int
    bits: tuple[int, int] | None
    path: str
    expected: str
    found: str
    refused: bool


class Example(NamedTuple):
    """Worked bytes.

    ``title``: their description. ``source``: the file or part of the schema that has them. ``options``: for a session, the
    options of the receivers that differ from the defaults. ``fault``: None for valid bytes. It is also None if a package that is
    needed to locate the fault is not installed.
    """

    title: str
    source: str
    options: Mapping[str, Any]
    steps: tuple[Step, ...]
    fault: Fault | None = None


class _Worked:
    """A candidate for an example.

    ``shows``: the requirements that it names. ``breaks``: all requirements that it violates. ``data``: all of its bytes.
    ``order``: single frames come before sessions, and payloads come last.
    """

    order = 0

    def __init__(self, title: str, source: str, shows: Iterable[str], breaks: Iterable[str], data: bytes) -> None:
        self.title = title
        self.source = source
        self.shows = frozenset(shows)
        self.breaks = tuple(breaks)
        self.data = data

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The steps."""
        return tuple(self._made())

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The names of the frame types in it."""
        return frozenset(step.human.split(" ")[3] for step in self.steps if step.human)

    def example(self, requirement: str | None = None) -> Example:
        """Returns the example, with the fault that violates ``requirement``."""
        fault = None if requirement is None else self.fault(requirement)
        return Example(self.title, self.source, self.options(), self.steps, fault)

    def options(self) -> Mapping[str, Any]:
        """Returns the options of the receivers that differ from the defaults."""
        return {}

    def fault(self, requirement: str) -> Fault | None:
        """Returns the first place where ``requirement`` is violated."""
        raise NotImplementedError

    def _made(self) -> Iterator[Step]:
        raise NotImplementedError


class _Frames(_Worked):
    """Frames by themselves: a vector, or an example of a frame type."""

    def __init__(
        self, title: str, source: str, shows: Iterable[str], breaks: Iterable[str], data: bytes, revision: Revision
    ) -> None:
        super().__init__(title, source, shows, breaks, data)
        self._revision = revision

    def _made(self) -> Iterator[Step]:
        codec = self._revision.codec
        at = 0
        while at < len(self.data):
            human, end = "", len(self.data)
            with suppress(RemoteProtocolError):
                frame, end = codec.decode_frame(self.data, at)
                human = format_frame(frame, codec)
            yield Step(None, self.data[at:end], human)
            at = end

    def fault(self, requirement: str) -> Fault | None:
        validator = Validator(depth="frames", revision=self._revision)
        for finding in chain(validator.feed(self.data), validator.close()):
            if finding.id == requirement:
                return _fault(finding, self.steps)
        return None


class _Payload(_Worked):
    """An example of the schema that is a structure, a frame that continues another, or no bytes at all."""

    order = 2

    def __init__(self, example: SchemaExample, place: str, revision: Revision, structure: str | None) -> None:
        refused = () if example.refused is None else (example.refused,)
        super().__init__(example.title, f"the schema, {place}", (), refused, example.data)
        self._continued = example.continued
        self._structure = structure
        self._codec: Any = revision.codec

    @cached_property
    def kinds(self) -> frozenset[str]:
        return super().kinds if self._structure is None else frozenset((self._structure,))

    def _made(self) -> Iterator[Step]:
        human = ""
        if self._structure is None:
            with suppress(RemoteProtocolError):
                human = format_frame(self._codec.decode_frame(self.data)[0], self._codec)
        yield Step(None, self.data, human)

    def fault(self, requirement: str) -> Fault | None:
        try:
            if self._structure is not None:
                getattr(self._codec, f"decode_{snake(self._structure)}")(self.data)
            else:
                self._judge_frame()
        except RemoteProtocolError as error:
            if error.requirement != requirement:
                return None
            offset = error.offset or 0
            size = min(1, len(self.data) - offset)
            return Fault(0, offset, size, None, error.field, error.expected, error.found, refused=True)
        return None

    def _judge_frame(self) -> None:
        frame, _ = self._codec.decode_frame(self.data)
        self._codec.check_header(frame)
        try:
            self._codec.decode_payload(frame, self._continued)
        except RemoteProtocolError as error:
            raise error.moved(self._codec.HEADER_BYTES) from None


class _Session(_Worked):
    """A session: both sides of a connection."""

    order = 1

    def __init__(self, session: Mapping[str, Any]) -> None:
        self._session = session
        breaks = session.get("findings", session["requirements"])
        data = b"".join(bytes.fromhex(step.get("wire", "")) for step in session["steps"])
        super().__init__(session["comment"], f"session {session['id']}", (), breaks, data)

    def options(self) -> Mapping[str, Any]:
        options: Mapping[str, Any] = self._session.get("options", {})
        return options

    def _made(self) -> Iterator[Step]:
        for step in self._session["steps"]:
            side: Role = "client" if step["line"][0] == ">" else "server"
            data = bytes.fromhex(step["wire"]) if "wire" in step else None
            yield Step(side, data, "" if data is None else step["line"][2:])

    def fault(self, requirement: str) -> Fault | None:
        options = self.options()
        limits = Limits(**{snake(name): value for name, value in options.get("limits", {}).items()})
        validator = SessionValidator(limits=limits, reopen=options.get("reopen", "error"))
        for number, step in enumerate(self.steps):
            role: Any = step.side or ""
            findings = validator.close(role) if step.data is None else validator.feed(role, step.data)
            for finding in findings:
                if finding.id == requirement:
                    return _fault(finding, self.steps[: number + 1])
        return None


def _fault(finding: Finding, steps: tuple[Step, ...]) -> Fault:
    """Converts a finding to a place in one of ``steps``, those that the validator has received so far."""
    at = 0
    place = 0, 0
    for number, step in enumerate(steps):
        if None not in (step.side, finding.side) and step.side != finding.side:
            continue
        if at > finding.offset:
            break
        data = b"" if step.data is None else step.data
        # Bytes that are missing at the end are located where input ends, which may be a separate step.
        if finding.offset <= at + len(data):
            place = number, finding.offset - at
        at += len(data)
    number, offset = place
    path = finding.path or "input"
    return Fault(
        number, offset, finding.size, finding.bits, path, finding.expected, finding.found, refused=finding.refused
    )


class Examples:
    """All worked bytes of a revision. Only revisions that come with hgproto have vectors and sessions."""

    def __init__(self, revision: Revision) -> None:
        self._revision = revision

    def of(self, requirement: str) -> tuple[Example | None, Example | None]:
        """Returns an example that meets a requirement and one that violates it; each is None if there is no such example.

        The second example violates no other requirement, if possible. The two differ as little as possible, so that the
        difference shows the violation.
        """
        worked = self._bad(requirement)
        if not worked:
            known = [one for one in self._clean if requirement in one.shows]
            good = min(known, key=lambda one: len(one.data), default=None)
            return None if good is None else good.example(), None
        pairs = [(one, _nearest(one, self._good(requirement, one))) for one in worked]
        pairs.sort(key=lambda pair: (pair[1][1], len(pair[0].data)))
        examples = [(None if good is None else good.example(), bad.example(requirement)) for bad, (good, _) in pairs]
        # Prefer an example whose fault can be located without a package that is not installed.
        return next((pair for pair in examples if pair[1].fault is not None), examples[0])

    def _bad(self, requirement: str) -> list[_Worked]:
        """Returns the best examples that violate a requirement: all that rank equally."""

        def rank(worked: _Worked) -> tuple[bool, int]:
            return len(set(worked.breaks)) > 1, worked.order

        breaking = [worked for worked in self._all if requirement in worked.breaks]
        best = min(map(rank, breaking), default=None)
        return [worked for worked in breaking if rank(worked) == best]

    def _good(self, requirement: str, bad: _Worked) -> list[_Worked]:
        """Returns the candidates to show beside ``bad``: those that name the requirement, or else those with its frame types."""
        shown = [worked for worked in self._clean if requirement in worked.shows]
        alike = [worked for worked in self._clean if worked.order == bad.order]
        return shown or [worked for worked in alike if worked.kinds >= bad.kinds] or alike

    @cached_property
    def _clean(self) -> list[_Worked]:
        return [worked for worked in self._all if not worked.breaks]

    @cached_property
    def _all(self) -> list[_Worked]:
        worked = list(self._of_schema())
        if self._revision.is_known:
            worked += self._of_vectors()
        return worked

    def _of_schema(self) -> Iterator[_Worked]:
        schema = self._revision.schema
        for frame in schema.frames.values():
            place = f"frames.{frame.name}"
            for example in frame.examples:
                # The validator accepts empty input: input may end before a frame.
                if example.continued or not example.data:
                    yield _Payload(example, place, self._revision, None)
                else:
                    refused = () if example.refused is None else (example.refused,)
                    source = f"the schema, {place}"
                    yield _Frames(example.title, source, (), refused, example.data, self._revision)
        for structure in schema.structures.values():
            for example in structure.examples:
                yield _Payload(example, f"structures.{structure.name}", self._revision, structure.name)

    def _of_vectors(self) -> Iterator[_Worked]:
        from hgproto.language.load import schema_directory

        directory = schema_directory() / "vectors"
        for file in [*sorted(directory.glob("*.json")), *sorted((directory / "sessions").glob("*.json"))]:
            content = json.loads(file.read_text(encoding="utf-8"))
            if content["revision"] != self._revision.name:
                continue
            for vector in content.get("vectors", ()):
                valid = vector["result"] == "valid"
                breaks = vector.get("findings", () if valid else vector["requirements"])
                shows = vector["requirements"] if valid else ()
                data = bytes.fromhex(vector["wire"])
                yield _Frames(vector["comment"], f"vector {vector['id']}", shows, breaks, data, self._revision)
            # Only sessions of this revision can be validated.
            if self._revision.name == DEFAULT_REVISION:
                yield from map(_Session, content.get("sessions", ()))


def _nearest(worked: _Worked, others: Iterable[_Worked]) -> tuple[_Worked | None, int]:
    """Returns the one of ``others`` that differs from ``worked`` in the fewest bytes, and their number. Prefers shorter ones."""
    data = worked.data[:_COMPARED_BYTES].decode("latin-1")
    best, least = None, 2 * _COMPARED_BYTES
    matcher = SequenceMatcher[str](None, autojunk=False)
    matcher.set_seq2(data)
    for other in sorted(others, key=lambda other: len(other.data)):
        size = len(data) + len(other.data)
        if abs(len(data) - len(other.data)) >= least:
            continue
        matcher.set_seq1(other.data.decode("latin-1"))
        # quick_ratio() is an upper bound of ratio().
        if size * (1 - matcher.quick_ratio()) < least and (different := round(size * (1 - matcher.ratio()))) < least:
            best, least = other, different
    return best, least
