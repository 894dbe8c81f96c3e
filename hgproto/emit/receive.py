"""Emits ``receive.py``: the loops in which the reactors of a revision receive common frames.

A loop is the fast path for some rows of the machines. It finds frames in bytes, and selects the code by the state of the request
and the kind of the frame. It yields all other frames, which a reactor processes with the tables: see
:mod:`hgproto.emit.outcomes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgproto.emit.formats import FORMATS
from hgproto.emit.framing import cut_frames, parts_format
from hgproto.emit.line_breaks import Group, flat
from hgproto.emit.outcomes import parity_of_requests, states_of, usual
from hgproto.emit.text import comment, docstring, heading, literal, mask, names_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from enum import IntEnum

    from hgproto.emit.outcomes import Usual
    from hgproto.language.model import Schema, Structure
    from hgproto.runtime.machine import States

__all__ = ["emit"]

_TOTALS = ["total, buffered = begun.size + {0}, intake.buffered + {0}"]
_WITHIN = "total <= intake.most_bytes and buffered <= intake.most_buffered"
"""Statements that add the bytes of a frame to the totals, and the condition that the totals are within the limits."""


def emit(schema: Schema) -> str:
    """Returns the source of ``receive.py``."""
    server, client = _Server(schema), _Client(schema)
    functions = ["\n".join(_function(schema, loop)) for loop in (client, server)]
    used = names_in("\n\n\n".join(functions))
    constants = {
        "_unpack_parts": f'Struct("<{parts_format(schema)}").unpack_from',
        "_unpack_argument": "" if server.argument is None else f'Struct("<{server.argument.format}").unpack_from',
        "_bare_command": "bare(_RunCommand)",
        "_bare_response": "bare(_ResponseData)",
    }
    lines = [f"{name} = {value}" for name, value in constants.items() if name in used]
    body = "\n\n\n".join(["\n".join(lines), *functions] if lines else functions) + "\n"
    return "\n".join([*_head(schema, names_in(body)), "", body])


def _head(schema: Schema, used: frozenset[str]) -> list[str]:
    def imported(module: str, *names: str) -> list[str]:
        found = [name for name in names if name.rpartition(" ")[2] in used]
        return [f"from {module} import {', '.join(found)}"] if found else []

    ours = [
        *imported("hgproto.reactors.events", "WANT_FRAME as _WANT_FRAME"),
        *imported("hgproto.reactors.events", "ResponseData as _ResponseData"),
        *imported("hgproto.reactors.events", "RunCommand as _RunCommand"),
        *imported("hgproto.reactors.intake", "CommandRequest as _CommandRequest"),
        *imported("hgproto.runtime.frame", "bare"),
    ]
    own = imported(".codec", "cut_frame", "read_parts")
    return [
        *heading(schema).rstrip("\n").split("\n"),
        *docstring(
            f"The loops in which reactors of {schema.revision} receive frames.\n\n"
            "They process common frames themselves, and yield the parts of all others. "
            ":mod:`hgproto.reactors.reactor` processes those with the tables of ``machines``.",
            0,
        ),
        "",
        "from __future__ import annotations",
        "",
        *imported("struct", "Struct"),
        "from typing import TYPE_CHECKING, Any",
        "",
        *ours,
        *([""] if ours else []),
        *own,
        *([""] if own else []),
        "if TYPE_CHECKING:",
        "    from collections.abc import Callable, Iterator",
        "",
        "    from hgproto.reactors.intake import CommandIntake as _CommandIntake",
        "    from hgproto.reactors.intake import Intake as _Intake",
        "    from hgproto.wire.reader import Pieces",
        "",
        flat(Group("__all__ = [", [literal("receive_as_client"), literal("receive_as_server")], "]")),
        "",
    ]


def _function(schema: Schema, loop: _Server | _Client) -> list[str]:
    """Returns the lines of the function of a role."""
    body = loop.body()
    intake, role = ("_CommandIntake", "server") if isinstance(loop, _Server) else ("_Intake", "client")
    annotation = "Iterator[tuple[int, int, int, Any, int]]"
    head = f"def receive_as_{role}(intake: {intake}, source: Pieces, append: Callable[[Any], None]) -> {annotation}:"
    if not body:
        doc = "Yields the parts of all frames, because no row of a machine applies to common frames."
        return [head, *docstring(doc), "    return read_parts(source, intake.max_payload)"]
    doc = f"{loop.doc}\n\nYields the parts of all other frames, like ``read_parts`` of the codec. ``append``: receives events."
    body += ["yield kind, request_id, stream_id, data[start:at], at", *loop.after]
    return [
        head,
        *docstring(doc),
        *_indented(loop.before()),
        "    requests, slots, max_payload = intake.requests, intake.slots, intake.max_payload",
        *cut_frames(schema, body),
    ]


def _indented(lines: Iterable[str], depth: int = 1) -> list[str]:
    return [f"{'    ' * depth}{line}" for line in lines]


def _state(state: IntEnum) -> str:
    """Returns the variable for the table of a state."""
    return f"in_{state.name.lower()}"


def _is(one: Usual) -> str:
    """Returns the condition for a frame. A comment after it names the frame: see :func:`_words`."""
    return f"number == {mask(one.number)}"


def _words(one: Usual) -> str:
    flags = " ".join(flag.name for flag in one.frame.flags if flag.name in one.flags)
    return f"# {comment(f'{one.frame.name} {flags}'.strip())}"


def _chosen(first: str, choices: Iterable[tuple[str, Sequence[str]]]) -> Iterator[str]:
    """Yields the lines of a statement with a branch for each condition. ``first``: the first keyword."""
    for condition, lines in choices:
        yield f"{first} {condition}:"
        yield from _indented(lines)
        first = "elif"


class _Argument(NamedTuple):
    """The layout of an argument in one frame: two sizes, the name, and the value."""

    format: str
    size: int
    sizes: tuple[str, str]


def _argument_of(structure: Structure | None) -> _Argument | None:
    """Returns the layout of an argument; None if the structure is not exactly two sizes, a name, and a value."""
    if structure is None or len(structure.fields) != 4 or structure.limit is not None:
        return None
    *sizes, name, value = structure.fields
    names = tuple(field.name for field in sizes)
    if (name.name, value.name) != ("name", "value") or {name.size, value.size} != {*names}:
        return None
    if name.type not in ("ascii", "utf8") or value.type != "bytes" or name.is_array or value.is_array:
        return None
    if any(field.type not in ("u8", "u16", "u32") or field.is_array for field in sizes):
        return None
    first, second = ("name" if field.name == name.size else "value" for field in sizes)
    return _Argument(
        "".join(FORMATS[field.type] for field in sizes), sum(f.fixed_size or 0 for f in sizes), (first, second)
    )


class _Server:
    """The loop of servers."""

    doc = "Processes commands that consist of common frames."
    after = ("most = intake.most_active + intake.refused",)

    def __init__(self, schema: Schema) -> None:
        self._states: States | None = states_of(schema, "server")
        self._usual: list[Usual] = []
        self._parity = parity_of_requests(schema)
        argument = next((frame for frame in schema.frames.values() if frame.role == "argument"), None)
        cases = () if argument is None else argument.payload
        plain = next((case.structure for case in cases if case.when is None and case.after is None), None)
        self.argument = _argument_of(plain)
        if self._states is not None:
            self._usual = [one for one in usual(schema, "server") if self._does(one)]

    def _does(self, one: Usual) -> bool:
        """Returns True if the loop implements the row."""
        states, row, asked = self._states, one.row, {*one.answers}
        if states is None or row.emit not in ("run-command", "want-frame"):
            return False
        runs = row.emit == "run-command"
        if row.source == states.initial:
            leads = states.whole if runs else states.receiving
            return one.frame.role == "command" and asked - {"streaming"} == {"capacity"} and row.to in leads
        guard = one.frame.role
        if guard not in ("argument", "data") or asked - {"data-announced", "streaming"} != {guard}:
            return False
        if guard == "argument" and (self.argument is None or one.has("more")):
            return False
        announced = one.answers.get("data-announced")
        if runs:
            fits = row.to in states.whole and announced is not (guard == "argument")
        else:
            fits = row.to is None or row.to in states.kept
        return row.source in states.kept and fits

    def body(self) -> list[str]:
        """Returns the statements for each frame."""
        states = self._states
        if states is None or not self._usual:
            return []
        first = [one for one in self._usual if one.row.source == states.initial]
        others = [one for one in self._usual if one.row.source != states.initial]
        lines = ["number = slots[stream_id] + kind", "begun: Any = requests.get(request_id)"]
        choices = [("begun is None", self._free(first))] if first else []
        for source in dict.fromkeys(one.row.source for one in others):
            found = [one for one in others if one.row.source == source]
            choices.append((f"begun is not None and begun.table is {_state(source)}", self._taking(found)))
        if first:
            choices[1:] = [(text.removeprefix("begun is not None and "), inner) for text, inner in choices[1:]]
        return [*lines, *_chosen("if", choices)]

    def before(self) -> list[str]:
        """Returns the statements before the loop."""
        body = "\n".join(self.body())
        used = [one for one in self._usual if one.row.emit]
        names = {one.row.source for one in used} | {one.row.to for one in used if one.row.to is not None}
        lines = ["commands, new_request, want = _bare_command, _CommandRequest, _WANT_FRAME"]
        lines.append("known, name_of, streaming = intake.names.get, intake.name_of, intake.streaming")
        if "unpack_argument" in body:
            lines.append("unpack_argument = _unpack_argument")
        states = self._states
        for state in sorted(names):
            if states is not None and _state(state) in body:
                kind = "whole" if state in states.whole else "tables"
                lines.append(f"{_state(state)} = intake.{kind}[{int(state)}]")
        return [*lines, "most = intake.most_active + intake.refused"]

    # The first frame of a request.

    def _free(self, first: Sequence[Usual]) -> list[str]:
        """Returns the statements for a frame with a free request id."""
        whole = [one for one in first if one.row.emit == "run-command"]
        parts = [one for one in first if one.row.emit == "want-frame"]
        named = ["payload = data[start:at]", "name = known(payload) or name_of(payload)", "if name:"]
        choices = [(_is(one) + self._if_asked(one), [_words(one), *named, *self._run_at_once(one)]) for one in whole]
        if parts:
            chosen = [
                (
                    _is(one) + self._if_asked(one),
                    [_words(one), f"table, announced = {_state(self._to(one))}, {one.has('data-follows')}"],
                )
                for one in parts
            ]
            lines = ["table: Any = None", *_chosen("if", chosen), "if table is not None:"]
            lines += _indented([*named, *_indented(_BEGIN)])
            choices.append(("intake.receiving < intake.most_receiving", lines))
        lines = [*_chosen("if", choices)]
        parity = {None: "", 0: "not request_id & 1 and ", 1: "request_id & 1 and "}[self._parity]
        return [f"if {parity}len(requests) < most:", *_indented(lines)]

    def _run_at_once(self, one: Usual) -> list[str]:
        lines = [f"requests[request_id] = {_state(self._to(one))}", *_run("name", "{}", "None")]
        return _indented([*lines, "continue"])

    def _to(self, one: Usual) -> IntEnum:
        return one.row.source if one.row.to is None else one.row.to

    def _if_asked(self, one: Usual, announced: str = "") -> str:
        """Returns the rest of the condition for a frame, which asks guards."""
        text = f" and {announced}" if announced else ""
        return f"{text} and not streaming" if "streaming" in one.answers else text

    def _if_announced(self, one: Usual) -> str:
        match one.answers.get("data-announced"):
            case None:
                return ""
            case announced:
                return "begun.announced" if announced else "not begun.announced"

    # Later frames of a request.

    def _taking(self, found: Sequence[Usual]) -> list[str]:
        """Returns the statements for a frame of a request in one state."""
        lines: list[str] = []
        for role, taken in (("argument", self._taking_argument), ("data", self._taking_data)):
            of_role = [one for one in found if one.frame.role == role]
            if of_role:
                numbers = " or ".join(dict.fromkeys(map(_is, of_role)))
                lines += [f"{'elif' if lines else 'if'} {numbers}:", *_indented(taken(of_role))]
        return lines

    def _taking_argument(self, found: Sequence[Usual]) -> list[str]:
        if self.argument is None:
            return []
        size = self.argument.size
        targets = ", ".join(f"{name}_bytes" for name in self.argument.sizes)
        inner = [f"{targets} = unpack_argument(data, start)", f"args, size = begun.args, length - {size}"]
        inner += [line.format("size") for line in _TOTALS]
        conditions = [
            "name_bytes + value_bytes == size",
            "len(args) < intake.most_arguments",
            "value_bytes <= intake.longest_value",
            _WITHIN,
        ]
        inner.append(f"if {' and '.join(conditions)}:")
        deep = [
            f"value_at = start + {size} + name_bytes",
            f"payload = data[start + {size} : value_at]",
            "name = known(payload) or name_of(payload)",
            "if name and name not in args:",
        ]
        choices = []
        for one in found:
            lines = [_words(one), "args[name] = data[value_at:at]"]
            if one.row.emit == "run-command":
                announced = "not begun.announced"
                lines += [*self._whole(one), *_run("begun.name", "args", "None")]
            else:
                announced = self._if_announced(one)
                lines += self._part(one)
            choices.append((_is(one) + self._if_asked(one, announced), [*lines, "continue"]))
        deep += _indented(_chosen("if", choices))
        return [f"if length > {size} and begun.value is None:", *_indented([*inner, *_indented(deep)])]

    def _taking_data(self, found: Sequence[Usual]) -> list[str]:
        choices = []
        for one in found:
            lines = [_words(one)]
            if one.row.emit == "run-command":
                announced = "begun.announced"
                kept = 'b"".join((begun.data, payload)) if begun.data else payload'
                lines += [*self._whole(one), *_run("begun.name", "begun.args", kept)]
            else:
                announced = self._if_announced(one)
                lines += ["begun.keep(payload)", *self._part(one)]
            choices.append((_is(one) + self._if_asked(one, announced), [*lines, "continue"]))
        return [
            *(line.format("length") for line in _TOTALS),
            f"if {_WITHIN}:",
            *_indented(["payload = data[start:at]", *_chosen("if", choices)]),
        ]

    def _whole(self, one: Usual) -> list[str]:
        """Returns the statements for a request that the frame completes."""
        return [
            f"requests[request_id] = {_state(self._to(one))}",
            "intake.receiving -= 1",
            "intake.buffered -= begun.size",
        ]

    def _part(self, one: Usual) -> list[str]:
        """Returns the statements for a request that needs more frames."""
        lines = ["begun.size, intake.buffered = total, buffered"]
        if self._to(one) != one.row.source:
            lines.append(f"begun.table = {_state(self._to(one))}")
        return [*lines, "append(want)"]


_BEGIN = (
    "begun = new_request()",
    "begun.table = table",
    "begun.name = name",
    "begun.announced = announced",
    "begun.args = {}",
    "begun.size = 0",
    'begun.data = b""',
    "begun.value = None",
    "requests[request_id] = begun",
    "intake.receiving += 1",
    "append(want)",
    "continue",
)
"""The statements for a new request that needs more frames."""


def _run(name: str, args: str, data: str) -> list[str]:
    """Returns the statements that report a command."""
    return [
        "for command in commands:",
        "    command.request_id = request_id",
        f"    command.name = {name}",
        f"    command.args = {args}",
        f"    command.data = {data}",
        "    append(command)",
        "    break",
    ]


class _Client:
    """The loop of clients."""

    doc = "Processes the data of responses."
    after = ()

    def __init__(self, schema: Schema) -> None:
        self._states: States | None = states_of(schema, "client")
        self._usual: list[Usual] = []
        flags = {flag.role for frame in schema.frames.values() if frame.role == "response" for flag in frame.flags}
        if self._states is not None and "more" in flags:
            initial = self._states.initial
            self._usual = [
                one
                for one in usual(schema, "client")
                if (one.row.emit, one.frame.role) == ("response-data", "response")
                and one.row.source != initial
                and not one.answers
            ]
            # Most responses have one frame.
            self._usual.sort(key=lambda one: one.has("more"))

    def body(self) -> list[str]:
        """Returns the statements for each frame."""
        if not self._usual:
            return []
        choices = []
        for source in dict.fromkeys(one.row.source for one in self._usual):
            found = [one for one in self._usual if one.row.source == source]
            inner = _chosen("if", [(_is(one), self._taking(one)) for one in found])
            choices.append((f"table is {_state(source)}", [*inner]))
        return [
            "begun: Any = requests.get(request_id)",
            "if begun is not None:",
            "    number, table = slots[stream_id] + kind, begun.table",
            *_indented(_chosen("if", choices)),
        ]

    def before(self) -> list[str]:
        """Returns the statements before the loop."""
        body = "\n".join(self.body())
        names = {state for one in self._usual for state in (one.row.source, one.row.to) if state is not None}
        tables = [f"{_state(state)} = intake.tables[{int(state)}]" for state in sorted(names)]
        return ["responses = _bare_response", *(line for line in tables if line.split()[0] in body)]

    def _taking(self, one: Usual) -> list[str]:
        last, to = not one.has("more"), one.row.to
        # Deleting the request also deletes its state.
        ends = self._states is not None and to is not None and to == self._states.initial
        lines = ["del requests[request_id]" if ends else "begun.received += length"]
        if to not in (None, one.row.source) and not ends and to is not None:
            lines.append(f"begun.table = {_state(to)}")
        return [
            _words(one),
            *lines,
            "for event in responses:",
            "    event.request_id = request_id",
            "    event.data = data[start:at]",
            f"    event.last = {last}",
            "    append(event)",
            "    break",
            "continue",
        ]
