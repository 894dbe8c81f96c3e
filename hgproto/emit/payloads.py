"""Emits the code that decodes and encodes structures, without loops over tables."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from hgproto.emit.formats import DECODE, ENCODE, FORMATS, PYTHON_TYPES, integer_runs
from hgproto.emit.line_breaks import Group, flat
from hgproto.emit.text import camel, docstring, literal, names_made, snake, upper

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from hgproto.language.model import Field, Schema, Structure

__all__ = ["structure_functions"]


def structure_functions(structure: Structure, schema: Schema) -> list[str]:
    """Returns the lines of the functions that decode and encode a structure."""
    name, record, table = snake(structure.name), camel(structure.name), upper(structure.name)
    raises = "Raises :class:`RemoteProtocolError` with offsets from the start of ``payload``."
    what = f"Decodes ``payload`` as {structure.name}."
    if not _is_whole(structure):
        what = f"Decodes the {structure.name} at the start of ``payload``. Ignores any bytes after it."
    if structure.limit is not None:
        raises = f"``max_items``: the limit {structure.limit}. {raises}"
    decode_doc = docstring(f"{what}\n\n{raises}")
    encode_doc = docstring("Returns the bytes of ``value``, with computed sizes. Raises :class:`LocalProtocolError`.")
    limit = "" if structure.limit is None else f", max_items: int = {schema.limits[structure.limit].default}"
    most = "" if structure.limit is None else ", max_items"
    if structure.is_cbor:
        return [
            f"def decode_{name}(payload: bytes{limit}) -> {record}:",
            *decode_doc,
            f'    return decode_record({record}, {table}, as_bytes(payload, "payload"){most})',
            "",
            "",
            f"def encode_{name}(value: {record}) -> bytes:",
            *docstring(
                "Returns the bytes of ``value``, with texts as byte strings. Raises :class:`LocalProtocolError`."
            ),
            "    try:",
            f"        return encode_entries({table}, value)",
            "    except AttributeError:",
            f'        check_instance(value, {record}, "value")',
            "        raise",
        ]
    # The error of an element does not have its index.
    nested = ["LocalProtocolError"] if structure.fields[-1].repeat else []
    caught = ", ".join([*nested, "StructError", "UnicodeEncodeError", "ValueError"])
    return [
        f"def decode_{name}(payload: bytes{limit}) -> {record}:",
        *decode_doc,
        *(f"    {line}" for line in _as_bytes("payload", "payload")),
        *_progress(structure),
        "    try:",
        *(f"        {line}" for line in _read_whole(structure, schema)),
        "    except (StructError, ValueError):",
        "        pass",
        f"    raise fault({table}, payload{most}{_reached(structure)})",
        "",
        "",
        f"def encode_{name}(value: {record}) -> bytes:",
        *encode_doc,
        "    try:",
        *(f"        {line}" for line in _write(structure)),
        f"    except ({caught}):",
        "        pass",
        "    except AttributeError:",
        f'        check_instance(value, {record}, "value")',
        f"    raise local_fault({table}, value)",
    ]


def _progress(structure: Structure) -> list[str]:
    """Returns the statements that initialize the offset of an element, the list of elements, and the number of items."""
    if not structure.fields[-1].repeat:
        return []
    return ["    at = count = 0" if structure.limit is not None else "    at = 0", "    items = []"]


def _reached(structure: Structure) -> str:
    """Returns the arguments of ``fault()`` for the elements that were decoded before the error."""
    return ", at=at, before=items" if structure.fields[-1].repeat else ""


def _as_bytes(name: str, what: str) -> list[str]:
    """Returns the statements that convert a variable to ``bytes``. ``what``: its name in messages."""
    return [f"if type({name}) is not bytes:", f'    {name} = as_bytes({name}, "{what}")']


def _local(name: str) -> str:
    """Returns the variable for a field. Other variables never end in an underscore, so that fields cannot hide them."""
    return f"{name}_"


def _takes_rest(structure: Structure) -> bool:
    last = structure.fields[-1]
    return last.repeat or last.size == "rest"


def _is_whole(structure: Structure) -> bool:
    """Returns True if a structure is a whole payload, False if it is a part of others, which ends after its fields."""
    return structure.is_cbor or _takes_rest(structure) or "surplus" in structure.rules


def _read_whole(structure: Structure, schema: Schema) -> list[str]:
    """Returns the statements that return the record of a valid payload, and otherwise raise or return nothing."""
    last = structure.fields[-1]
    if last.repeat:
        return _read_repeated(structure, schema.structures[last.type])
    lines, end = _read_fields(structure.fields, "", last_takes_rest=_is_whole(structure))
    made = _with_record(structure, "record", ["return record"])
    good = _conditions(structure, end)
    return [*lines, f"if {' and '.join(good)}:", *(f"    {line}" for line in made)] if good else [*lines, *made]


def _read_repeated(structure: Structure, inner: Structure) -> list[str]:
    """Returns the statements for a structure that ends with a repeated one."""
    *before, repeated = structure.fields
    lines, at = _read_fields(before, "", last_takes_rest=False)
    item, end = _read_fields(inner.fields, "at", last_takes_rest=False)
    if structure.limit is not None:
        item = _counted(item, inner)
    item += _unless_empty(inner)
    # After an error, `at` is the start of its element.
    if not end.isidentifier():
        item.append(f"stop = {end}")
        end = "stop"
    item += [f"if {end} > end:", "    break", f"at = {end}"]
    item += _with_record(inner, "record", ["items.append(record)", "break"])
    item = _renamed(item, {field.name for field in before} & {field.name for field in inner.fields})
    done = [f"whole.{repeated.name} = tuple(items)", "return whole"]
    # The fields of an element may have the same names as those before it, so the record keeps the values of the latter.
    first = _with_record(structure, "whole", ["break"]) if before else []
    result = done if before else _with_record(structure, "whole", done)
    return [
        *lines,
        *_unless_empty(structure),
        *first,
        f"at, end = {at}, len(payload)" if before else "end = len(payload)",
        *(["is_long = end > max_items"] if structure.limit is not None else []),
        "while at < end:",
        *(f"    {line}" for line in item),
        "if at == end:",
        *(f"    {line}" for line in result),
    ]


def _renamed(lines: list[str], names: Collection[str]) -> list[str]:
    """Returns the statements for an element, with other variables for the fields of these names.

    The fields before the elements have the same names, and may have other types.
    """
    variable = re.compile(rf"\b({'|'.join(sorted(names))})_(?=strings\b|\b)")
    return [variable.sub(r"\1__", line) for line in lines] if names else lines


def _counted(lines: list[str], inner: Structure) -> list[str]:
    """Returns the statements for an element, which stop at the first item over the limit, before they decode strings.

    An item has at least one byte, so that only a payload that ``is_long`` can have too many items.
    """
    names = [_local(field.name) for field in inner.counters]
    read = [made.end_lineno or 0 for made in ast.parse("\n".join(lines)).body if names_made(made) & set(names)]
    at = max(read, default=0)
    counted = [f"count += {' + '.join(['1', *names])}", "if count > max_items:", "    break"]
    return [*lines[:at], "if is_long:", *(f"    {line}" for line in counted), *lines[at:]]


def _with_record(structure: Structure, name: str, then: list[str]) -> list[str]:
    """Returns a loop that creates a record and executes ``then``, which must leave the loop. It is faster than a call."""
    values = [field.name for field in structure.values if not field.repeat]
    filled = [f"{name}.{value} = {_local(value)}" for value in values]
    return [f"for {name} in _bare_{snake(structure.name)}:", *(f"    {line}" for line in (*filled, *then))]


def _unless_empty(structure: Structure) -> list[str]:
    """Returns the statements that reject empty strings where the requirement ``empty`` applies."""
    needed = _not_empty(structure)
    return [f"if not ({' and '.join(needed)}):", "    raise ValueError"] if needed else []


def _not_empty(structure: Structure) -> list[str]:
    conditions = []
    for field in structure.values:
        if "empty" in field.rules:
            sized = field.sizes is None and field.size != "rest"
            name = _local(str(field.size) if sized else field.name)  # comparing a size with 0 is faster
            conditions.append(f"all({name})" if field.is_array else name)
    return conditions


def _read_fields(fields: Sequence[Field], at: str, *, last_takes_rest: bool) -> tuple[list[str], str]:
    """Returns the statements that decode fields from offset ``at`` (a variable, or empty for 0), and the end of the fields.

    ``last_takes_rest``: the last string extends to the end of the payload, and a condition checks its size later. The returned
    end is then that of the fields before it.
    """
    lines: list[str] = []
    base, fixed = at, 0
    runs = {run[0].name: run for run in integer_runs(fields)}
    in_run = {f.name for run in runs.values() for f in run[1:]}

    def here() -> str:
        return (f"{base} + {fixed}" if fixed else base) if base else str(fixed)

    for field in fields:
        if field.name in in_run:
            continue
        if field.name in runs:
            run = runs[field.name]
            lines += _read_integers(run, here())
            fixed += sum(item.fixed_size or 0 for item in run)
        elif field.fixed_size is not None:
            (counter,) = (f for f in fields if f.name == field.count)
            lines += _read_numbers(field, counter.fixed_size or 0, here())
            base, fixed = f"{field.name}_end", 0
        elif field.sizes is not None:
            lines += _read_strings(field, here())
            base, fixed = f"{field.name}_end", 0
        else:
            start = "" if here() == "0" else here()
            stop = ""
            if field.size != "rest" and not (last_takes_rest and field is fields[-1]):
                stop = f"{field.name}_end"
                lines.append(f"{stop} = {here()} + {_local(str(field.size))}")
                base, fixed = stop, 0
            slice_ = f"[{start}{_colon(start)}{stop}]".replace(": ]", ":]") if start or stop else ""
            lines.append(f"{_local(field.name)} = payload{slice_}{DECODE[field.type]}")
    return lines, here()


def _colon(start: str) -> str:
    """Returns the colon of a slice, with spaces as the formatter sets them: around it if the start is not just a name."""
    return " : " if "+" in start else ":"


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
    return [f"{left} = _unpack_{code.lower()}(payload{start})", *joins]


def _read_numbers(field: Field, count_bytes: int, here: str) -> list[str]:
    """Returns the statements for an array of integers. An array of single bytes is a slice of the payload."""
    name, count, end = _local(field.name), _local(str(field.count)), f"{field.name}_end"
    if field.fixed_size == 1:
        return [f"{end} = {here} + {count}", f"{name} = payload[{here}{_colon(here)}{end}]"]
    lines = [f"{end} = {here} + {field.fixed_size} * {count}"]
    if field.type == "u24":
        lines.append(f"raw = payload[{here}{_colon(here)}{end}]")
        return [*lines, f'{name} = [low | high << 16 for low, high in iter_unpack("<HB", raw)]']
    code = FORMATS[field.type]
    if count_bytes == 1:
        return [*lines, f"{name} = _unpack_{code.lower()}_array[{count}](payload, {here})"]
    return [*lines, f'{name} = unpack_from(f"<{{{count}}}{code}", payload, {here})']


def _read_strings(field: Field, here: str) -> list[str]:
    """Returns the statements for an array of strings. If the payload is cut off, the computed end is after its end."""
    # Each array has its own variable, since type checkers require one type for all items of a list.
    name, end, strings = _local(field.name), f"{field.name}_end", f"{field.name}_strings"
    return [
        f"{end} = {here}",
        f"if {_local(str(field.sizes))}:",
        f"    {strings} = []",
        f"    for size in {_local(str(field.sizes))}:",
        f"        start, {end} = {end}, {end} + size",
        f"        {strings}.append(payload[start:{end}]{DECODE[field.type]})",
        f"    {name} = tuple({strings})",
        "else:",
        f"    {name} = ()",
    ]


def _conditions(structure: Structure, end: str) -> list[str]:
    """Returns the conditions that a payload must meet after its fields were decoded up to ``end``."""
    conditions = _not_empty(structure)
    last = structure.fields[-1]
    has_variable = any(f.fixed_size is None or f.is_array for f in structure.fields[:-1])
    if not _is_whole(structure):
        return [*conditions, f"len(payload) >= {end}"] if has_variable or last.fixed_size is None else conditions
    if last.size == "rest":
        if has_variable:
            conditions.append(f"len(payload) >= {end}")
        if last.at_most is not None:
            conditions.append(f"len({_local(last.name)}) <= {_local(last.at_most)}")
    elif last.size is None:
        conditions.append(f"len(payload) == {end}")
    else:
        conditions.append(f"len(payload) == {end} + {_local(last.size)}")
    return conditions


def _write(structure: Structure) -> list[str]:
    """Returns the statements that return the bytes of a valid record, and otherwise raise or return nothing."""
    lines: list[str] = []
    conditions: list[str] = []
    for field in structure.values:
        if "empty" in field.rules:
            conditions.append(f"all({_local(field.name)})" if field.is_array else _local(field.name))
        if field.sizes is not None or field.repeat:
            # Decoded values are tuples. Without the check, a string would be accepted as a sequence of its characters.
            lines += [f"if type(value.{field.name}) is not tuple:"]
            lines += [f"    check_several(value.{field.name}, {literal(field.name)})"]
        if field.type not in PYTHON_TYPES:
            continue
        encode = ENCODE[field.type]
        if field.sizes is not None:
            item = f"item{encode}" if encode else f"as_bytes(item, {literal(f'an item of {field.name}')})"
            listed = f"[{item} for item in value.{field.name}]"
            lines.append(f"{_local(field.name)} = {listed}")
        else:
            lines.append(f"{_local(field.name)} = value.{field.name}{encode}")
            if not encode:
                lines += _as_bytes(_local(field.name), field.name)
        if field.at_most is not None:
            conditions.append(f"len({_local(field.name)}) <= value.{field.at_most}")
    pieces: list[str | Group] = []
    runs = {run[0].name: run for run in integer_runs(structure.fields)}
    in_run = {f.name for run in runs.values() for f in run[1:]}
    for field in structure.fields:
        if field.name in in_run:
            continue
        if field.name in runs:
            pieces.append(_pack_integers(runs[field.name], structure))
        elif field.fixed_size is not None:
            pieces.append(_pack_numbers(field))
        elif field.repeat:
            pieces.append(f"*[encode_{snake(field.type)}(item) for item in value.{field.name}]")
        else:
            pieces.append(f"*{_local(field.name)}" if field.sizes is not None else _local(field.name))
    if len(pieces) > 1:
        result = f'return b"".join({flat(Group("(", pieces))})'
    elif isinstance(pieces[0], str) and pieces[0].startswith("*"):
        result = f'return b"".join({pieces[0][1:]})'
    else:
        result = f"return {flat(pieces[0])}"
    if not conditions:
        return [*lines, result]
    return [*lines, f"if {' and '.join(conditions)}:", f"    {result}"]


def _pack_integers(run: Sequence[Field], structure: Structure) -> Group:
    arguments: list[str | Group] = []
    for item in run:
        number = _number(item, structure)
        arguments += [f"{number} & 0xFFFF", f"{number} >> 16"] if item.type == "u24" else [number]
    return Group(f"_pack_{''.join(FORMATS[item.type] for item in run).lower()}(", arguments)


def _pack_numbers(field: Field) -> str:
    strings = _local(str(field.sized_by))
    if field.fixed_size == 1:
        return f"bytes([len(item) for item in {strings}])"
    if field.type == "u24":
        return f'b"".join([pack("<HB", len(item) & 0xFFFF, len(item) >> 16) for item in {strings}])'
    return f'pack(f"<{{len({strings})}}{FORMATS[field.type]}", *[len(item) for item in {strings}])'


def _number(field: Field, structure: Structure) -> str:
    """Returns the expression for an integer field: the size or count of another field, or its own value."""
    if field.sized_by is None:
        return f"value.{field.name}"
    sized = structure.field(field.sized_by)
    return f"len({_local(sized.name if sized.fixed_size is None else str(sized.sized_by))})"
