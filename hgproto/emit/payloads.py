"""Emits the straight code that reads and builds structures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.formats import DECODE, ENCODE, FORMATS, PYTHON_TYPES, integer_runs
from hgproto.emit.text import Group, camel, docstring, lay_out, snake, upper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgproto.spec.model import Field, Schema, Structure

__all__ = ["structure_functions"]


def structure_functions(structure: Structure, schema: Schema) -> list[str]:
    """The functions that decode and encode a structure."""
    name, record, table = snake(structure.name), camel(structure.name), upper(structure.name)
    raises = "Raises :class:`RemoteProtocolError`, offsets from the start of ``payload``."
    decode_doc = docstring(f"The {structure.name} that is all of ``payload``.\n\n{raises}")
    encode_doc = docstring(
        "The octets of ``value``; sizes and counts are computed. Raises :class:`LocalProtocolError`."
    )
    if structure.is_cbor_map:
        return [
            f"def decode_{name}(payload: bytes) -> {record}:",
            *decode_doc,
            f"    return {record}(**decode_entries({table}, bytes(payload)))",
            "",
            "",
            f"def encode_{name}(value: {record}) -> bytes:",
            *docstring(
                "The octets of ``value``, strings as byte strings of UTF-8. Raises :class:`LocalProtocolError`."
            ),
            f"    return encode_entries({table}, value)",
        ]
    return [
        f"def decode_{name}(payload: bytes) -> {record}:",
        *decode_doc,
        "    if type(payload) is not bytes:",
        "        payload = bytes(payload)",
        "    try:",
        *(f"        {line}" for line in _read_whole(structure, schema)),
        "    except (StructError, ValueError):",
        "        pass",
        f"    raise fault({table}, payload)",
        "",
        "",
        f"def encode_{name}(value: {record}) -> bytes:",
        *encode_doc,
        "    try:",
        *(f"        {line}" for line in _write(structure)),
        "    except (StructError, UnicodeEncodeError, ValueError):",
        "        pass",
        f"    raise local_fault({table}, value)",
    ]


def _local(name: str) -> str:
    """The variable for a field. Our own variables never end in an underscore, so that no field hides one."""
    return f"{name}_"


def _read_whole(structure: Structure, schema: Schema) -> list[str]:
    """Straight code that returns the record when the payload is good, and else raises or falls through."""
    first = structure.fields[0]
    record = camel(structure.name)
    if first.repeat:
        inner = schema.structures[first.type]
        return [
            "at, end = 0, len(payload)",
            "items = []",
            "while at < end:",
            *(f"    {line}" for line in _read(inner, "at", last_takes_rest=False)),
            *(f"    {line}" for line in _unless_empty(inner)),
            "    items.append(record)",
            "if at == end:",
            f"    whole = {record}.__new__({record})",
            f"    whole.{first.name} = tuple(items)",
            "    return whole",
        ]
    lines = _read(structure, "", last_takes_rest=True)
    good = _conditions(structure)
    return [*lines, f"if {good}:", "    return record"] if good else [*lines, "return record"]


def _unless_empty(structure: Structure) -> list[str]:
    """For a structure inside of another: an end to the loop at a string that may not be empty."""
    needed = _not_empty(structure)
    return [f"if not ({' and '.join(needed)}):", "    raise ValueError"] if needed else []


def _not_empty(structure: Structure) -> list[str]:
    names = [f for f in structure.values if "empty" in f.rules]
    return [f"all({_local(f.name)})" if f.is_array else _local(f.name) for f in names]


def _read(structure: Structure, at: str, *, last_takes_rest: bool) -> list[str]:
    """Straight code that reads the fields from offset ``at`` (a variable, or empty for 0) into ``record``.

    ``last_takes_rest``: the last string is read to the end of the payload, and its size checked by a condition.
    """
    lines: list[str] = []
    base, fixed = at, 0
    runs = {run[0].name: run for run in integer_runs(structure)}
    in_run = {f.name for run in runs.values() for f in run[1:]}
    for field in structure.fields:
        here = (f"{base} + {fixed}" if fixed else base) if base else str(fixed)
        if field.name in in_run:
            continue
        if field.name in runs:
            run = runs[field.name]
            lines += _read_integers(run, here)
            fixed += sum(item.octets or 0 for item in run)
        elif field.octets is not None:
            lines += _read_numbers(field, here)
            base, fixed = f"{field.name}_end", 0
        elif field.sizes is not None:
            lines += _read_strings(field, here)
            base, fixed = f"{field.name}_end", 0
        else:
            start = "" if here == "0" else here
            ends = field.size == "rest" or (last_takes_rest and field is structure.fields[-1])
            stop = "" if ends else f"{field.name}_end"
            if stop:
                lines.append(f"{stop} = {here} + {_local(str(field.size))}")
                base, fixed = stop, 0
            slice_ = f"[{start}:{stop}]" if start or stop else ""
            lines.append(f"{_local(field.name)} = payload{slice_}{DECODE[field.type]}")
    record = camel(structure.name)
    lines.append(f"record = {record}.__new__({record})")
    lines += [f"record.{f.name} = {_local(f.name)}" for f in structure.values]
    if at:
        lines.append(f"{at} = {base} + {fixed}" if fixed else f"{at} = {base}")
    return lines


def _read_integers(run: Sequence[Field], here: str) -> list[str]:
    targets, joins = [], []
    for item in run:
        if item.type == "u24":
            targets += [f"{item.name}_low", f"{item.name}_high"]
            joins.append(f"{_local(item.name)} = {item.name}_low | {item.name}_high << 16")
        else:
            targets.append(_local(item.name))
    code = "".join(FORMATS[item.type] for item in run)
    start = "" if here == "0" else f", {here}"
    left = f"({targets[0]},)" if len(targets) == 1 else ", ".join(targets)
    return [f"{left} = _{code}.unpack_from(payload{start})", *joins]


def _read_numbers(field: Field, here: str) -> list[str]:
    """An array of integers; of single octets the payload's own are good enough."""
    name, count = _local(field.name), _local(str(field.count))
    if field.octets == 1:
        colon = " : " if "+" in here else ":"
        return [f"{field.name}_end = {here} + {count}", f"{name} = payload[{here}{colon}{field.name}_end]"]
    lines = [f"{field.name}_end = {here} + {field.octets} * {count}"]
    if field.type == "u24":
        items = f"range({here}, {field.name}_end, 3)"
        return [*lines, f'{name} = [int.from_bytes(payload[i : i + 3], "little") for i in {items}]']
    numbers = f'unpack_from(f"<{{{count}}}{FORMATS[field.type]}", payload, {here})'
    return [*lines, f"if {count}:", f"    {name} = {numbers}", "else:", f"    {name} = ()"]


def _read_strings(field: Field, here: str) -> list[str]:
    """An array of strings. A string that is cut is short here, and the end then past the payload's."""
    name, end = _local(field.name), f"{field.name}_end"
    return [
        f"{end} = {here}",
        f"if {_local(str(field.sizes))}:",
        "    strings = []",
        f"    for size in {_local(str(field.sizes))}:",
        f"        start, {end} = {end}, {end} + size",
        f"        strings.append(payload[start:{end}]{DECODE[field.type]})",
        f"    {name} = tuple(strings)",
        "else:",
        f"    {name} = ()",
    ]


def _conditions(structure: Structure) -> str:
    """What must hold for a payload to be good after its fields were read."""
    conditions = _not_empty(structure)
    last = structure.fields[-1]
    if last.size == "rest":
        before = [f for f in structure.fields[:-1] if f.octets is None or f.is_array]
        if before:
            conditions.append(f"{before[-1].name}_end <= len(payload)")
        if last.at_most is not None:
            conditions.append(f"len({_local(last.name)}) <= {_local(last.at_most)}")
    elif last.size is not None:
        before = [f for f in structure.fields[:-1] if f.octets is None or f.is_array]
        # A string of several octets a character is measured by its octets, others by themselves.
        start = f"{before[-1].name}_end" if before else str(sum(f.octets or 0 for f in structure.fields[:-1]))
        if last.type == "utf8":
            conditions.append(f"len(payload) == {start} + {_local(last.size)}")
        else:
            conditions.append(f"len({_local(last.name)}) == {_local(last.size)}")
            if before:
                conditions.append(f"{start} <= len(payload)")
    elif last.is_array:
        conditions.append(f"len(payload) == {last.name}_end")
    else:
        before = [f for f in structure.fields if f.octets is None or f.is_array]
        rest = structure.fields[structure.fields.index(before[-1]) + 1 :] if before else structure.fields
        fixed = sum(f.octets or 0 for f in rest)
        conditions.append(f"len(payload) == {before[-1].name}_end + {fixed}" if before else f"len(payload) == {fixed}")
    return " and ".join(conditions)


def _write(structure: Structure) -> list[str]:
    """Straight code that returns the octets when the record can be built, and else raises or falls through."""
    first = structure.fields[0]
    if first.repeat:
        return [f'return b"".join([encode_{snake(first.type)}(item) for item in value.{first.name}])']
    lines: list[str] = []
    conditions = _not_empty(structure)
    for field in structure.values:
        if field.type not in PYTHON_TYPES:
            continue
        encode = ENCODE[field.type]
        if field.sizes is not None:
            lines.append(f"{_local(field.name)} = [item{encode} for item in value.{field.name}]")
        else:
            lines.append(f"{_local(field.name)} = value.{field.name}{encode}")
        if field.at_most is not None:
            conditions.append(f"len({_local(field.name)}) <= value.{field.at_most}")
    pieces: list[str | Group] = []
    runs = {run[0].name: run for run in integer_runs(structure)}
    in_run = {f.name for run in runs.values() for f in run[1:]}
    for field in structure.fields:
        if field.name in in_run:
            continue
        if field.name in runs:
            pieces.append(_pack_integers(runs[field.name], structure))
        elif field.octets is not None:
            pieces.append(_pack_numbers(field))
        else:
            pieces.append(f"*{_local(field.name)}" if field.sizes is not None else _local(field.name))
    if len(pieces) == 1 and not str(pieces[0]).startswith("*"):
        result = lay_out(pieces[0])
        result[0] = f"return {result[0]}"
    else:
        result = lay_out(Group('return b"".join(', [Group("(", pieces)]), 12)
        result = [line[12:] for line in result]
    if conditions:
        return [*lines, f"if {' and '.join(conditions)}:", *(f"    {line}" for line in result)]
    return [*lines, *result]


def _pack_integers(run: Sequence[Field], structure: Structure) -> Group:
    arguments: list[str | Group] = []
    for item in run:
        number = _number(item, structure)
        arguments += [f"{number} & 0xFFFF", f"{number} >> 16"] if item.type == "u24" else [number]
    return Group(f"_{''.join(FORMATS[item.type] for item in run)}.pack(", arguments)


def _pack_numbers(field: Field) -> str:
    strings = _local(str(field.sized_by))
    if field.octets == 1:
        return f"bytes([len(item) for item in {strings}])"
    if field.type == "u24":
        return f'b"".join([len(item).to_bytes(3, "little") for item in {strings}])'
    return f'pack(f"<{{len({strings})}}{FORMATS[field.type]}", *[len(item) for item in {strings}])'


def _number(field: Field, structure: Structure) -> str:
    """What building writes into an integer field: the size or count that it gives, or its own value."""
    if field.sized_by is None:
        return f"value.{field.name}"
    sized = structure.field(field.sized_by)
    return f"len({_local(sized.name if sized.octets is None else str(sized.sized_by))})"
