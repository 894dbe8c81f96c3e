"""Emits ``build.py``: one function for each message, which builds its frames.

A generated function checks its arguments. :mod:`hgproto.wire.messages` splits bytes and builds frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.line_breaks import Group, flat
from hgproto.emit.records import cbor_annotation, python_type
from hgproto.emit.text import camel, docstring, heading, literal, mapping, mask, names_in, snake
from hgproto.language.names import SEND_LIMIT, upper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgproto.language.messages import Message, MessagePart
    from hgproto.language.model import Constraint, Flag, Schema, Structure

__all__ = ["emit"]

_TYPES = {"ascii": "str", "utf8": "str", "bytes": "BytesLike"}
_ATOMS = "Iterable[_codec.{atom} | tuple[str | BytesLike, Sequence[str], Sequence[str | BytesLike]]]"


def emit(schema: Schema) -> str:
    """Returns the source of ``build.py``."""
    messages = [_Emitted(message, schema) for message in schema.messages.values()]
    constants = [line for message in messages for line in message.constants()]
    found = mapping(
        (
            (f"({', '.join((literal(str(role)) for role in roles))}{',' * (len(roles) == 1)})", snake(message.name))
            for message in schema.messages.values()
            if None not in (roles := message.roles)
        ),
        "MESSAGES: dict[tuple[str, ...], Callable[..., Any]] = {",
    )
    functions = ["\n".join(message.function()) for message in messages]
    by_parts = mapping(
        (
            (f"({', '.join((literal(str(role)) for role in roles))}{',' * (len(roles) == 1)})", _parts_name(message))
            for message in schema.messages.values()
            if None not in (roles := message.roles) and not message.is_single
        ),
        "PARTS: dict[tuple[str, ...], Callable[..., _Parts]] = {",
    )
    kinds = mapping(((str(fatal), literal(name)) for fatal, name in _kinds(schema)), "ERROR_KINDS: dict[bool, str] = {")
    end = "\n".join(
        [
            flat(found),
            *docstring("The functions by the roles of the frame types of their messages.", 0),
            flat(by_parts),
            *docstring(
                "For messages of several frames: the functions that build the types, flags, and payloads of their frames.",
                0,
            ),
            flat(kinds),
            *docstring("The choices of an error that ends the connection (True), and of one that does not (False).", 0),
        ]
    )
    limit = schema.limits.get(SEND_LIMIT)
    default = next(schema.limits[field.limit] for field in schema.header.fields if field.limit is not None)
    size = (limit or default).default
    begin, end_flag = (mask(_role(schema.stream_flags, role)) for role in ("begin", "end"))
    length = next(field.rules["limit"] for field in schema.header.fields if field.name == "length")
    start = [f"SEND_PAYLOAD = {size}", *docstring("The default length, in bytes, at which payloads are split.", 0)]
    if messages:
        start += [f"_BUILDER = _Builder(_codec, {begin}, {end_flag}, {literal(length)})", *constants]
    body = "\n\n\n".join(["\n".join(start), *functions, end]) + "\n"
    names = ["ERROR_KINDS", "MESSAGES", "PARTS", "SEND_PAYLOAD", *sorted(snake(name) for name in schema.messages)]
    return "\n".join(
        [*_head(schema, names_in(body)), flat(Group("__all__ = [", [*map(literal, names)], "]")), "", body]
    )


def _head(schema: Schema, used: frozenset[str]) -> list[str]:
    def imported(module: str, *names: str) -> list[str]:
        found = [name for name in names if name.partition(" as ")[2] in used or name in used]
        return [f"from {module} import {', '.join(found)}"] if found else []

    typed = [
        *imported("collections.abc", "Callable", "Iterable", "Iterator", "Mapping", "Sequence"),
        *imported("typing", "Any", "Literal"),
        "",
        *imported("hgproto.runtime.bytelike", "BytesLike"),
        *imported("hgproto.runtime.frame", "Frame"),
        *imported("hgproto.wire.files", "Data"),
        *imported("hgproto.wire.messages", "Parts as _Parts"),
    ]
    helpers = ("Builder as _Builder", "Items as _Items", "Text as _Text", "choice as _choice")
    ours = [line for helper in helpers for line in imported("hgproto.wire.messages", helper)]
    ours += imported("hgproto.wire.texts", "Texts as _Texts")
    return [
        *heading(schema).rstrip("\n").split("\n"),
        *docstring(
            f"Functions that build the frames of the messages of {schema.revision}.\n\nEach raises :class:`LocalProtocolError`"
            " for arguments that cannot be encoded, before it builds a frame. It accepts any stream id, because reactors and the"
            " validator check which side may use a stream.",
            0,
        ),
        "",
        "from __future__ import annotations",
        "",
        "from typing import TYPE_CHECKING",
        "",
        *ours,
        *([""] if ours else []),
        *(["from . import codec as _codec", ""] if "_codec" in used else []),
        "if TYPE_CHECKING:",
        *(f"    {line}" if line else "" for line in typed),
        "",
    ]


class _Emitted:
    """The function for one message, and the constants that the function uses."""

    def __init__(self, message: Message, schema: Schema) -> None:
        self._message = message
        self._schema = schema
        self._begin, self._end = (_role(schema.stream_flags, role) for role in ("begin", "end"))
        self._required: list[str] = []
        self._optional: list[str] = []
        self._keywords: list[str] = []
        self._docs: dict[str, str] = {}
        self._checks: list[str] = []

    def constants(self) -> list[str]:
        """Returns the lines of the constants, in the order of the frames."""
        return [line for number, part in enumerate(self._message.parts) for line in self._constants(number, part)]

    def _name(self, what: str, number: int) -> str:
        return f"_{upper(self._message.name)}_{what}" + (f"_{number}" if number else "")

    def _constants(self, number: int, part: MessagePart) -> Iterator[str]:
        frame, case = part.frame, part.frame.payload[0]
        if part.each is not None:
            whole = next(one for one in frame.payload if one.when is None and one.after is None)
            start = next(one for one in frame.payload if one.when is not None)
            more, last = _role(frame.flags, "more"), _role(frame.flags, "last")
            structures = ", ".join(literal(one.structure.name) for one in (whole, start) if one.structure is not None)
            numbers = ", ".join(map(mask, (frame.code, more, last)))
            yield f"{self._name('ITEMS', number)} = _Items(_codec, {numbers}, {structures})"
        elif part.is_single and case.field is not None and case.field.type != "bytes":
            rules = mapping((literal(key), literal(rule)) for key, rule in case.field.rules.items())
            yield (
                f"{self._name('TEXT', number)} = _Text({literal(case.field.name)}, {literal(case.field.type)}, {flat(rules)},"
                f" shorten={part.shorten})"
            )
        elif part.is_single and frame.role == "text" and case.structure is not None:
            checks = (frame.checks.get(name) for name in ("placeholders", "percent"))
            given = ", ".join("None" if check is None else literal(check) for check in checks)
            yield f"{self._name('TEXTS', number)} = _Texts(_codec, {literal(case.structure.fields[0].type)}, {given})"
        if part.chooser is not None:
            masks = {flag.name: flag.mask for flag in frame.flags}
            choices = mapping((literal(snake(name)), mask(masks[name])) for name in part.choices)
            yield f"{self._name('CHOICES', number)} = {flat(choices)}"

    def function(self) -> list[str]:
        """Returns the lines of the function."""
        message = self._message
        lines: list[str] = []
        parts: list[str] = []
        cut: list[str] = []
        for number, part in enumerate(message.parts):
            code = mask(part.frame.code)
            if part.each is not None:
                self._parameter(part.each, "Mapping[str, BytesLike]", part.each in message.optional)
                parts.append(f"*{self._name('ITEMS', number)}({part.each}, {literal(part.each)}, max_payload)")
            elif part.cut is not None:
                is_optional = part.cut in message.optional
                self._parameter(part.cut, "Data", is_optional)
                flags = ", ".join(mask(_role(part.frame.flags, role)) for role in ("more", "last"))
                call = f"_BUILDER.cut({code}, {flags}, {part.cut}, max_payload)"
                cut.append(f"{call} if {part.cut} is not None else ()" if is_optional else call)
            else:
                payload = self._payload(number, part)
                parts.append(f"({code}, {self._flags(number, part)}, {payload})")
        first = message.parts[0].frame
        parity = next(
            (
                f", ({int(one.kind == 'odd')}, {literal(one.requirement)})"
                for one in first.constraints
                if _is_on_request(one)
            ),
            "",
        )
        lines += [f"    _BUILDER.check(request_id, stream_id, {mask(first.code)}, max_payload{parity})", *self._checks]
        begin = "True" if self._begins() else "begin"
        before: list[str] = []
        if message.is_single:
            returned = "Frame"
            lines.append(f"    return _BUILDER.frame(request_id, stream_id, {parts[0][1:-1]}, {begin}, end)")
        else:
            returned = "Iterator[Frame]"
            given = [one.partition(" = ")[0] for one in (*self._required, *self._optional, *self._keywords)]
            before = [
                f"def {_parts_name(message)}({', '.join([*given, 'max_payload: int'])}) -> _Parts:",
                f"    return [{', '.join(parts)}], [{', '.join(cut)}]",
                "",
                "",
            ]
            arguments = ", ".join([*(one.partition(":")[0] for one in given), "max_payload"])
            lines += [
                f"    parts, cut = {_parts_name(message)}({arguments})",
                f"    return _BUILDER.frames(request_id, stream_id, {begin}, end, parts, cut)",
            ]
        keywords = [*self._keywords, *([] if self._begins() else ["begin: bool = False"]), "end: bool = False"]
        given = ["request_id: int", "stream_id: int", *self._required, *self._optional, "*", *keywords]
        given.append("max_payload: int = SEND_PAYLOAD")
        head = f"def {snake(message.name)}({', '.join(given)}) -> {returned}:"
        return [*before, head, *docstring(self._doc()), *lines]

    def _parameter(self, name: str, kind: str, is_optional: bool, is_repeated: bool = False) -> None:
        if is_repeated:
            self._optional.append(f"{name}: Sequence[{kind}] = ()")
        elif is_optional:
            self._optional.append(f"{name}: {kind} | None = None")
        else:
            self._required.append(f"{name}: {kind}")

    def _begins(self) -> bool:
        """Returns True if a constraint requires the first frame to open a stream."""
        begin = next((flag.name for flag in self._schema.stream_flags if flag.role == "begin"), None)
        constraints = self._message.parts[0].frame.constraints
        return any(one.kind == "all-of" and begin in one.names for one in constraints)

    def _flags(self, number: int, part: MessagePart) -> str:
        masks = {flag.name: flag.mask for flag in part.frame.flags}
        if part.chooser is not None:
            names = [literal(snake(name)) for name in part.choices]
            self._optional.append(f"{part.chooser}: Literal[{', '.join(names)}] = {names[0]}")
            return f"_choice({part.chooser}, {literal(part.chooser)}, {self._name('CHOICES', number)})"
        carried = {one.each for one in self._message.parts}
        given = [
            f"({mask(masks[flag])} if {name if name in carried else f'{name} is not None'} else 0)"
            for flag, name in part.flags.items()
        ]
        given += [] if part.otherwise is None else [mask(masks[part.otherwise])]
        if part.otherwise is None or len(given) == 1:
            return " | ".join(given) or "0"
        return f"{' | '.join(given[:-1])} or {given[-1]}"

    def _payload(self, number: int, part: MessagePart) -> str:
        """Returns the expression for the payload of one frame, and notes its parameters."""
        case = part.frame.payload[0]
        if case.field is not None:
            name = case.field.name
            self._docs[name] = case.field.doc
            self._parameter(name, _TYPES[case.field.type], is_optional=False)
            if case.field.type == "bytes":
                return f"_BUILDER.fit({name}, {literal(name)}, max_payload)"
            return f"_BUILDER.text({name}, {self._name('TEXT', number)}, max_payload)"
        assert case.structure is not None  # noqa: S101 - a case is either
        record, encode = f"_codec.{camel(case.structure.name)}", f"_codec.encode_{snake(case.structure.name)}"
        values, limits = self._values(number, part, case.structure)
        return f"_BUILDER.fit({encode}({record}({', '.join(values)})), {limits})"

    def _values(self, number: int, part: MessagePart, structure: Structure) -> tuple[list[str], str]:
        """Returns the values of a record, and the arguments that describe the limit on its payload."""
        values: list[str] = []
        if structure.is_cbor:
            for entry in sorted(structure.entries, key=lambda one: one.optional):
                self._docs[entry.name] = entry.doc
                self._parameter(entry.name, cbor_annotation(entry.type), entry.optional, entry.repeated)
                values.append(f"tuple({entry.name})" if entry.repeated else entry.name)
            if structure.is_sequence:
                return values, '"", max_payload'
            self._keywords.append("extra: Mapping[bytes, BytesLike] | None = None")
            self._docs["extra"] = "Other keys, each with its value as the bytes of a CBOR item."
            return [*values, "_BUILDER.entries(extra)"], '"", max_payload'
        for field in structure.values:
            name = field.name
            self._docs[name] = field.doc
            if part.frame.role == "text":
                self._required.append(f"{name}: {_ATOMS.format(atom=camel(field.type))}")
                self._keywords.append('errors: Literal["strict", "replace"] = "strict"')
                self._docs["errors"] = (
                    "``strict`` rejects bytes that are not UTF-8; ``replace`` replaces them with U+FFFD."
                )
                values.append(f"{self._name('TEXTS', number)}({name}, errors)")
            elif field.type == "bytes" and field.size == "rest" and not field.is_array:
                self._optional.append(f'{name}: BytesLike = b""')
                values.append(f"_BUILDER.whole({name}, {literal(name)})")
            else:
                self._parameter(name, python_type(field, "_codec."), is_optional=False)
                values.append(name)
        last = structure.values[-1] if structure.values else None
        field_name = "" if last is None or (last.size != "rest" and not last.repeat) else last.name
        cut = (
            f", {literal(structure.rules['cut'])}"
            if last is not None and last.repeat and "cut" in structure.rules
            else ""
        )
        return values, f"{literal(field_name)}, max_payload{cut}"

    def _doc(self) -> str:
        message = self._message
        docs = {**self._docs, **message.parameters}
        ids = "``request_id``: an odd number." if any(map(_is_on_request, message.parts[0].frame.constraints)) else ""
        ends = (
            "``end``: True if the last frame closes the stream."
            if self._begins()
            else ("``begin``: True if the first frame opens the stream. ``end``: True if the last frame closes it.")
        )
        lines = [*([ids] if ids else []), *(f"``{name}``: {doc}" for name, doc in docs.items()), ends]
        lines.append("``max_payload``: the largest length of a payload in bytes.")
        built = "Builds the frame" if message.is_single else "Yields the frames"
        return f"{built} of ``{message.name}``.\n\n{message.doc}\n\n" + "\n".join(lines)


def _parts_name(message: Message) -> str:
    return f"_{snake(message.name)}_parts"


def _kinds(schema: Schema) -> Iterator[tuple[bool, str]]:
    """Yields the choices of the message for errors: the one that ends the connection (True), and the first other one (False).

    If the message does not offer one of them, its first choice is used.
    """
    for message in schema.messages.values():
        if message.roles == ("error",) and (choices := message.parts[0].choices):
            fatal = next((flag.name for flag in message.parts[0].frame.flags if flag.role == "fatal"), None)
            yield True, snake(fatal if fatal in choices else choices[0])
            yield False, snake(next((name for name in choices if name != fatal), choices[0]))


def _is_on_request(constraint: Constraint) -> bool:
    return constraint.is_about_fields and "request_id" in constraint.names


def _role(flags: tuple[Flag, ...], role: str) -> int:
    return next((flag.mask for flag in flags if flag.role == role), 0)
