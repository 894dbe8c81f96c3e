"""Resolves the behavior of a connection into the model: messages, machines, guards, actions, and events.

:class:`Lookup` looks up names and notes unknown ones. :mod:`hgproto.language.resolve` uses it too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from hgproto.language import model
from hgproto.language.messages import Message, MessagePart
from hgproto.language.names import field_fault
from hgproto.language.problems import Adviser, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from hgproto.language.source import Source

__all__ = ["MAX_FIELDS", "MAX_ROWS", "Data", "MachineResolver", "Path"]

Path = tuple["str | int", ...]
Data = dict[str, Any]

MAX_FIELDS = 256
"""The largest number of fields of one structure, embedded ones included, and of all events: ten times what is needed."""

MAX_ROWS = 10_000
"""The largest number of rows of all machines, counted for each of their states: a hundred times those of framing-0002."""


class Lookup:
    """Looks up names in the data of a schema. ``problems``: unknown names. ``references``: what enforces each requirement."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.data: Data = source.data
        self.problems: list[Problem] = []
        self.adviser = Adviser()
        self.references: dict[str, list[model.Reference]] = {}

    def known(self, what: str, name: str, names: Collection[str], path: Path, *, is_key: bool = False) -> bool:
        """Returns True if ``name`` is one of ``names``; otherwise notes a problem at ``path``."""
        if name in names:
            return True
        place = self.source.key_place(path) if is_key else self.source.place(path)
        self.problems.append(Problem(place, f"there is no {what} {name!r}", self.adviser.suggestion(name, names)))
        return False

    def requirement(self, name: str, path: Path, kind: Literal["codec", "machine", "validator"]) -> str:
        """Notes that the part at ``path`` enforces a requirement, and returns its id."""
        if self.known("requirement", name, self.data["requirements"], path):
            reference = model.Reference(kind, ".".join(map(str, path)), self.source.place(path))
            self.references.setdefault(name, []).append(reference)
        return name

    def usable(self, name: str, path: Path) -> None:
        """Notes a problem if generated code cannot have a field of this name."""
        fault = field_fault(name)
        if fault is not None:
            place = self.source.place(path)
            self.problems.append(Problem(place, f"a field cannot be called {name!r}: it {fault}", "rename it"))


class MachineResolver(Lookup):
    """Resolves messages, machines, guards, actions, and events."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.rows_left = MAX_ROWS
        self.answers: dict[str, frozenset[str]] = {}

    def guards(self) -> dict[str, model.Guard]:
        """Returns the guards by name."""
        guards = {
            name: model.Guard(name, tuple(part.get("values", ())), part["doc"], self.source.key_place(("guards", name)))
            for name, part in self.data.get("guards", {}).items()
        }
        self.answers = {name: frozenset(guard.values) for name, guard in guards.items()}
        return guards

    def events(self) -> dict[str, model.Event]:
        """Returns the events by name."""
        events: dict[str, model.Event] = {}
        left = MAX_FIELDS
        for name, part in self.data.get("events", {}).items():
            events[name] = self.event(name, part, ("events", name), events)
            left -= len(events[name].fields)
            if left < 0:
                message = f"the events up to here have more than {MAX_FIELDS} fields"
                self.problems.append(Problem(self.source.key_place(("events", name)), message, "use fewer"))
                break
        return events

    def event(self, name: str, data: Data, path: Path, earlier: Mapping[str, model.Event]) -> model.Event:
        """Returns an event. ``earlier``: the events declared before it."""
        extended = None
        if "extends" in data and self.known("earlier event", data["extends"], earlier, (*path, "extends")):
            extended = earlier[data["extends"]]
        inherited = () if extended is None else extended.fields
        own: list[model.EventField] = []
        for index, part in enumerate(data.get("fields", ())):
            here = (*path, "fields", index)
            self.usable(part["name"], (*here, "name"))
            if any(field.name == part["name"] for field in (*inherited, *own)):
                message = f"there are two fields {part['name']!r}"
                self.problems.append(Problem(self.source.place(here), message, "rename one of them"))
            own.append(
                model.EventField(
                    part["name"], part["type"], part.get("optional", False), part["doc"], self.source.place(here)
                )
            )
        return model.Event(
            name=name,
            role=data["role"],
            extends=data.get("extends"),
            sends="sends" in data or (extended is not None and extended.sends),
            doc=data["doc"],
            inherited=inherited,
            own=tuple(own),
            place=self.source.key_place(path),
        )

    def messages(self, frames: Mapping[str, model.FrameType]) -> dict[str, Message]:
        """Returns the messages by name, without parts of unknown frame types."""
        messages = {}
        for name, data in self.data.get("messages", {}).items():
            path: Path = ("messages", name)
            parameters = data.get("parameters", {})
            parts = [
                self.message_part(part, (*path, "frames", index), frames[part["frame"]], parameters)
                for index, part in enumerate(data["frames"])
                if self.known("frame type", part["frame"], frames, (*path, "frames", index, "frame"))
            ]
            messages[name] = Message(name, data["doc"], parameters, tuple(parts), self.source.key_place(path))
        return messages

    def message_part(self, data: Data, path: Path, frame: model.FrameType, parameters: Collection[str]) -> MessagePart:
        """Returns the frames of one type in a message."""
        names = [flag.name for flag in frame.flags]
        of_frame = f"flag of {frame.name!r}"
        for key in ("each", "cut"):
            if key in data:
                self.known("parameter", data[key], parameters, (*path, key))
        for flag, parameter in data.get("flags", {}).items():
            self.known(of_frame, flag, names, (*path, "flags", flag), is_key=True)
            self.known("parameter", parameter, parameters, (*path, "flags", flag))
        if "otherwise" in data:
            self.known(of_frame, data["otherwise"], names, (*path, "otherwise"))
        chooser, choices = next(iter(data.get("choose", {}).items()), (None, ()))
        if chooser is not None:
            self.known("parameter", chooser, parameters, (*path, "choose", chooser), is_key=True)
            for index, flag in enumerate(choices):
                self.known(of_frame, flag, names, (*path, "choose", chooser, index))
        return MessagePart(
            frame=frame,
            each=data.get("each"),
            cut=data.get("cut"),
            shorten="shorten" in data,
            flags=data.get("flags", {}),
            otherwise=data.get("otherwise"),
            chooser=chooser,
            choices=tuple(choices),
            place=self.source.place(path),
        )

    def emits(self) -> dict[str, model.Action]:
        """Returns the actions by name."""
        actions = {}
        for name, part in self.data.get("emits", {}).items():
            for index, event in enumerate(part.get("events", ())):
                self.known("event", event, self.data.get("events", {}), ("emits", name, "events", index))
            place = self.source.key_place(("emits", name))
            actions[name] = model.Action(name, tuple(part.get("events", ())), part["doc"], place)
        return actions

    def machine(
        self,
        name: str,
        data: Data,
        path: Path,
        frames: dict[str, model.FrameType],
        guards: dict[str, model.Guard],
        stream_flags: Collection[str],
    ) -> model.Machine:
        """Returns a machine."""
        self.known("state", data["initial"], data["states"], (*path, "initial"))
        self.rows_left -= sum(
            len(part["from"]) if isinstance(part["from"], list) else 1 for part in data["transitions"]
        )
        if self.rows_left < 0:
            message = f"the machine is too large: all of them have more than {MAX_ROWS} rows, counted for each state"
            self.problems.append(Problem(self.source.key_place(path), message, "use fewer states and rows"))
        otherwise = data["otherwise"]["error"]
        self.requirement(otherwise, (*path, "otherwise", "error"), "machine")
        return model.Machine(
            name=name,
            role=data["role"],
            scope=data["scope"],
            doc=data["doc"],
            initial=data["initial"],
            states={state: part["doc"] for state, part in data["states"].items()},
            transitions=tuple(
                row
                for i, part in enumerate(data["transitions"] if self.rows_left >= 0 else ())
                for row in self.rows(part, (*path, "transitions", i), data["states"], frames, guards, stream_flags)
            ),
            otherwise=otherwise,
            place=self.source.key_place(path),
            state_places={state: self.source.key_place((*path, "states", state)) for state in data["states"]},
        )

    def rows(
        self,
        part: Data,
        here: Path,
        states: Collection[str],
        frames: dict[str, model.FrameType],
        guards: dict[str, model.Guard],
        stream_flags: Collection[str],
    ) -> Iterator[model.Row]:
        """Yields a row once for each state in its ``from``."""
        several = isinstance(part["from"], list)
        sources = part["from"] if several else [part["from"]]
        for index, source in enumerate(sources):
            self.known("state", source, states, (*here, "from", index) if several else (*here, "from"))
        if "to" in part:
            self.known("state", part["to"], states, (*here, "to"))
        types = self.row_frames(part.get("frame", []), (*here, "frame"), frames)
        flags = {flag.name for name in types if name in frames for flag in frames[name].flags} | set(stream_flags)
        for key in ("error", "requirement"):
            if key in part:
                self.requirement(part[key], (*here, key), "machine")
        if "emit" in part:
            self.known("action", part["emit"], self.data.get("emits", {}), (*here, "emit"))
        row = model.Row(
            source=sources[0],
            frames=types,
            event=part.get("event"),
            when=self.condition(part["when"], (*here, "when"), flags, guards) if "when" in part else None,
            to=part.get("to"),
            emit=part.get("emit"),
            error=part.get("error"),
            expected=part.get("expected"),
            requirement=part.get("requirement"),
            doc=part.get("doc"),
            place=self.source.place(here),
        )
        for source in sources:
            yield replace(row, source=source)

    def row_frames(self, value: Any, path: Path, frames: Iterable[str]) -> tuple[str, ...]:
        """Returns the frame types of a row."""
        every = tuple(frames)
        if value == "any":
            return every
        named = value["except"] if isinstance(value, dict) else value
        inner = (*path, "except") if isinstance(value, dict) else path
        for index, name in enumerate(named):
            self.known("frame type", name, every, (*inner, index))
        return tuple(n for n in every if n not in named) if isinstance(value, dict) else tuple(named)

    def condition(
        self, value: Any, path: Path, flags: Collection[str], guards: dict[str, model.Guard]
    ) -> model.Condition:
        """Returns the condition of a row, or a part of one."""
        if isinstance(value, str):
            self.known("flag of these frames", value, flags, path)
            return model.Condition("flag", value)
        ((kind, inner),) = value.items()
        if kind in ("and", "or"):
            parts = tuple(self.condition(part, (*path, kind, i), flags, guards) for i, part in enumerate(inner))
            return model.Condition(kind, parts=parts)
        if kind == "not":
            return model.Condition("not", parts=(self.condition(inner, (*path, kind), flags, guards),))
        name, answer = (inner, None) if isinstance(inner, str) else next(iter(inner.items()))
        here = (*path, kind)
        if kind == "state":
            machines = self.data.get("machines", {})
            if self.known("machine", name, machines, here):
                self.known("state", str(answer), machines[name]["states"], here)
            return model.Condition("state", name, answer)
        if self.known("guard", name, guards, here):
            values = guards[name].values
            if answer is not None:
                self.known(f"answer of the guard {name!r}", answer, self.answers[name], (*here, name))
            elif values:
                message = f"the guard {name!r} does not answer with true or false"
                self.problems.append(Problem(self.source.place(here), message, self.adviser.listed(values)))
        return model.Condition("guard", name, answer)
