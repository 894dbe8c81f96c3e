"""Proves a schema with the code generated from it and with the reactors: examples, events, actions, and guards.

A valid example must decode to its stated value and encode to the same bytes. An invalid example must violate the requirement
that it names, at the offset that it names. Both codecs must agree on each example.

A machine may emit only actions that the reactors implement, and use only guards that they answer. An event must be one that
reactors report. These sets are read from the reactors themselves, so that they are always current.
"""

from __future__ import annotations

import re
from functools import cache
from inspect import get_annotations, signature
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from hgproto.emit.events import TYPES
from hgproto.errors import ProtocolError, RemoteProtocolError
from hgproto.evidence.rows import reactors_of, row_problems
from hgproto.language.names import camel, snake
from hgproto.language.problems import Adviser, Problem, suggestion
from hgproto.reactors import events
from hgproto.reactors.reactor import AGAIN, NOTE, Reactor
from hgproto.revisions.generate import compile_schema
from hgproto.runtime.cbor import Map, Simple, Tag
from hgproto.runtime.frame import Record, parts_of
from hgproto.wire.jsonform import frame_to_json, value_to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

    from hgproto.language.model import Example, FrameType, Machine, Schema, Structure

__all__ = ["asked", "emitted", "plain", "prove", "same_value"]


def prove(schema: Schema) -> tuple[list[Problem], int]:
    """Returns the problems of a schema that passed its checks, and the number of its proven examples."""
    problems = [problem for machine in schema.machines.values() for problem in _unspoken(machine)]
    problems += _unreported(schema)
    if not problems:
        problems += row_problems(schema)
    if problems:
        return sorted(set(problems)), 0
    modules = compile_schema(schema)
    codec, structs = modules["codec"], modules["structs"]
    proven = 0
    for structure in schema.structures.values():
        for example in structure.examples:
            found = list(_prove_structure(structure, example, codec, structs))
            problems += found
            proven += not found
    encoders = {camel(name): getattr(codec, f"encode_{snake(name)}") for name in schema.structures}
    for frame in schema.frames.values():
        for example in frame.examples:
            found = list(_prove_frame(frame, example, schema, codec, structs, encoders))
            problems += found
            proven += not found
    return sorted(set(problems)), proven


# Actions and guards.

_OF_OWN_SIDE = {
    "request-issued": "send-frames",
    "request-withdrawn": "request-failed",
    "request-abandoned": "request-failed",
}
"""The action of a client for each event of its own side."""


_WITH_REQUIREMENT = frozenset(
    {
        "application-error",
        "protocol-error",
        "command-cut",
        "connection-error",
        "request-failed",
        "request-lost",
        NOTE,
    }
)
"""The actions that report the requirement of their row."""


@cache
def emitted(role: str, scope: str, event: str | None) -> frozenset[str]:
    """Returns the actions that rows of a machine may emit. ``event``: that of the rows; None for rows for frames."""
    if scope == "connection":
        return frozenset({"error"} if event == "violation" else ())
    if scope == "stream":
        words = {AGAIN, "stream-configured"} if event is None else {NOTE} if event == "end-of-input" else set()
        return frozenset(words)
    if event in _OF_OWN_SIDE:
        return frozenset({_OF_OWN_SIDE[event]})
    if event not in (None, "end-of-input"):
        return frozenset()
    # Actions for frames have a parameter `payload`; those for the end of input have a parameter `row`.
    wanted = "payload" if event is None else "row"
    methods = [_methods(each, "_emit_", wanted) for each in reactors_of(role)]
    return frozenset.intersection(*methods) - {"stream-configured"}


@cache
def asked(role: str, scope: str) -> frozenset[str]:
    """Returns the guards that a machine may use."""
    of_streams = _methods(Reactor, "_ask_")
    if scope == "stream":
        return of_streams
    known = frozenset.intersection(*(_methods(each, "_ask_") for each in reactors_of(role))) - of_streams
    return known if scope == "request" else frozenset()


def _methods(reactor: type[Reactor[Any]], prefix: str, parameter: str = "") -> frozenset[str]:
    """Returns the names for which a reactor has a method. ``parameter``: a name that the method's parameters must include."""
    names = [name for name in dir(reactor) if name.startswith(prefix)]
    return frozenset(
        name.removeprefix(prefix).replace("_", "-")
        for name in names
        if not parameter or parameter in signature(getattr(reactor, name)).parameters
    )


def _unspoken(machine: Machine) -> Iterator[Problem]:
    """Yields the problems of rows with an action or a guard that no reactor implements."""
    guards = asked(machine.role, machine.scope)
    adviser = Adviser()
    # A row with several states is repeated for each of them, with the same condition.
    for row in {
        (row.place, row.event, row.emit, row.requirement, id(row.when)): row for row in machine.transitions
    }.values():
        what = f"the reactor of {machine.role} machines for a {machine.scope}"
        if row.emit is not None:
            known = emitted(machine.role, machine.scope, row.event)
            if row.emit not in known:
                when = "here" if row.event is None else f"at {row.event}"
                yield Problem(row.place, f"{what} cannot emit {row.emit!r} {when}", adviser.suggestion(row.emit, known))
            elif row.emit in _WITH_REQUIREMENT and row.requirement is None:
                message = f"{row.emit!r} reports a requirement, and the row does not name one"
                yield Problem(row.place, message, "add `requirement`")
        for kind, name in sorted(row.when.atoms) if row.when is not None else ():
            if kind == "guard" and name not in guards:
                yield Problem(row.place, f"{what} does not answer the guard {name!r}", adviser.suggestion(name, guards))


def _unreported(schema: Schema) -> Iterator[Problem]:
    """Yields the problems of events that no reactor reports, or that reactors report with other fields."""
    kinds = {re.sub(r"\B(?=[A-Z])", "-", name).lower(): getattr(events, name) for name in events.__all__}
    kinds = {name: kind for name, kind in kinds.items() if isinstance(kind, type)}
    for event in schema.events.values():
        if event.name not in kinds:
            yield Problem(event.place, f"no reactor reports the event {event.name!r}", suggestion(event.name, kinds))
            continue
        kind, fields = kinds[event.name], tuple(field.name for field in event.fields)
        known = tuple(name for name in fields if hasattr(kind, name))
        if not event.sends and issubclass(kind, Record):
            known = parts_of(object.__new__(kind))
        if fields != known:
            message = f"reactors report {event.name!r} with {', '.join(known) or 'no fields'}"
            yield Problem(event.place, message, "declare just these fields, in this order")
            continue
        for field in event.own:
            words, optional = _reported(kind, field.name)
            if field.type not in words or field.optional != optional:
                advice = f"use {' or '.join(f'`type: {word}`' for word in words)}"
                advice += " and `optional: true`" if optional else ", without `optional`" if field.optional else ""
                yield Problem(field.place, f"{field.name!r} of {event.name!r} is not what reactors report", advice)


def _reported(kind: type, name: str) -> tuple[list[str], bool]:
    """Returns the types that a field of an event can have, from its annotation, and True if it may be absent."""
    part = getattr(kind, name)
    if isinstance(part, property):
        annotation = str(get_annotations(part.fget)["return"])  # type: ignore[arg-type]
    else:
        owner = next(base for base in kind.__mro__ if name in get_annotations(base))
        annotation = str(get_annotations(owner)[name])
    text = annotation.removesuffix(" | None")
    known = [word for word, type_ in TYPES.items() if type_ == text]
    # A field of a payload is a list of strings or records; a payload is a record.
    return known or ["payload-field" if "[" in text else "payload"], text != annotation


# Examples.


def _prove_structure(
    structure: Structure, example: Example, codec: ModuleType, structs: ModuleType
) -> Iterator[Problem]:
    name = snake(structure.name)
    decode: Callable[[bytes], Any] = getattr(codec, f"decode_{name}")
    struct = getattr(structs, name)
    yield from _outcomes(example, lambda: decode(example.data), lambda: struct.parse(example.data))
    if example.decodes is not None:
        value = _try(lambda: decode(example.data))
        if isinstance(value, Record):
            yield from _stated(example, value_to_json(value))
            encode = getattr(codec, f"encode_{name}")
            yield from _rebuilt(example, lambda: encode(value), lambda: struct.build(plain(value)))


def _prove_frame(
    frame: FrameType,
    example: Example,
    schema: Schema,
    codec: ModuleType,
    structs: ModuleType,
    encoders: Mapping[str, Callable[[Any], bytes]],
) -> Iterator[Problem]:
    """Yields the problems of an example of a frame. ``encoders``: those of the payloads, by the names of the classes."""

    def judge() -> Any:
        """Returns the decoded payload after every check of a single frame."""
        decoded, end = codec.decode_frame(example.data)
        if end != len(example.data):
            raise RemoteProtocolError("", end, "", "one frame", "more bytes")
        codec.check_header(decoded)
        try:
            return codec.decode_payload(decoded, example.continued)
        except RemoteProtocolError as error:
            raise error.moved(schema.header.size) from None

    def parse() -> Any:
        return structs.checked_frame.parse(example.data, continued=example.continued)

    def value_of(container: Any) -> Any:
        return container.payload if container.value is None else container.value

    yield from _outcomes(example, judge, lambda: value_of(parse()))
    if example.decodes is None:
        return
    if isinstance(_try(judge), ProtocolError):
        return
    decoded, _ = codec.decode_frame(example.data)
    shown = frame_to_json(decoded, codec, continued=example.continued)
    if int(decoded.type) != frame.code:
        yield Problem(example.place, f"the example is a frame of type {shown['type']}", "move it there")
    stated = {key: shown[key] for key in ("length", "request_id", "stream_id", "stream_flags", "type", "flags")}
    value = judge()
    yield from _stated(example, stated | {"payload": value_to_json(value)})
    container = structs.frame.parse(example.data)

    def rebuild() -> bytes:
        payload = decoded.payload
        if isinstance(value, Record):
            payload = encoders[type(value).__name__](value)
        data: bytes = codec.encode_frame(decoded.replace(payload=payload))
        return data

    yield from _rebuilt(example, rebuild, lambda: structs.frame.build(container))


def _try(call: Callable[[], Any]) -> Any:
    """Returns the result of a call, or the protocol error that it raises."""
    try:
        return call()
    except ProtocolError as error:
        return error


def _outcomes(example: Example, fast: Callable[[], Any], slow: Callable[[], Any]) -> Iterator[Problem]:
    """Yields the problems of an example with each codec."""
    results = {"codec": _try(fast), "Struct": _try(slow)}
    for who, result in results.items():
        if isinstance(result, ProtocolError):
            if example.refused is None or not result.requirement:
                yield Problem(example.place, f"the {who} rejects the example: {result}", "correct the bytes")
            elif (result.requirement, result.offset) != (example.refused, example.offset):
                message = f"the {who} rejects the example at offset {result.offset} for violating {result.requirement}"
                yield Problem(example.place, message, "correct the bytes, `refused`, or `offset`")
        elif example.refused is not None:
            yield Problem(example.place, f"the {who} accepts the example", f"make it violate {example.refused}")
    accepted = [result for result in results.values() if not isinstance(result, ProtocolError)]
    if len(accepted) == 2 and not same_value(*accepted):
        yield Problem(
            example.place,
            f"the codecs differ: {_shown(accepted[0])} and {_shown(accepted[1])}",
            "report this as a bug of hgproto",
        )


def _stated(example: Example, shown: Any) -> Iterator[Problem]:
    for path, found, stated in _differences(shown, example.decodes):
        place = f" in {path}" if path else ""
        message = f"the example decodes to {_shown(found)}{place}, and `decodes` has {_shown(stated)}"
        yield Problem(example.place, message, "correct the bytes or `decodes`")


_MOST_SHOWN = 200
"""The number of characters of a value that a message shows."""
_MISSING = object()
"""Stands for a missing value."""


def _differences(found: Any, stated: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yields the parts in which two values differ, each with its path."""
    if isinstance(found, dict) and isinstance(stated, dict):
        for key in (*found, *(key for key in stated if key not in found)):
            place = f"{path}.{key}" if path else str(key)
            yield from _differences(found.get(key, _MISSING), stated.get(key, _MISSING), place)
    elif isinstance(found, list) and isinstance(stated, list):
        for index, (one, other) in enumerate(zip_longest(found, stated, fillvalue=_MISSING)):
            yield from _differences(one, other, f"{path}[{index}]")
    elif found != stated:
        yield path, found, stated


def _shown(value: Any) -> str:
    return "nothing" if value is _MISSING else _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _rebuilt(example: Example, *builds: Callable[[], bytes]) -> Iterator[Problem]:
    for build in builds:
        result = _try(build)
        if isinstance(result, ProtocolError):
            yield Problem(example.place, f"the example cannot be rebuilt: {result}", "correct `rules` or the example")
        elif result != example.data:
            advice = "write the bytes as they are built"
            yield Problem(example.place, f"the example is rebuilt to {_cut(result.hex())}", advice)


def plain(value: Any) -> Any:
    """Converts a record to the input of a Struct: dicts, tuples, strings, numbers, and values of CBOR."""
    if isinstance(value, Record) and not isinstance(value, Map | Simple | Tag):
        return {name: plain(getattr(value, name)) for name in parts_of(value)}
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    return value


def same_value(fast: Any, slow: Any) -> bool:
    """True if the value from the codec and the value from a Struct are equal."""
    if isinstance(fast, Record) and isinstance(slow, dict):
        return all(same_value(getattr(fast, name), slow[name]) for name in (*parts_of(fast), *fast.shown))
    if isinstance(fast, tuple) and isinstance(slow, list | tuple):
        return len(fast) == len(slow) and all(map(same_value, fast, slow))
    return repr(fast) == repr(slow) or bool(fast == slow)
