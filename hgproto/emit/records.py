"""Emits the records of a codec: one class for each structure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hgproto.emit.formats import ENCODE, PYTHON_TYPES
from hgproto.emit.line_breaks import Group, flat
from hgproto.emit.text import camel, docstring, literal, snake

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from hgproto.language.cbor_types import CborEntry, CborType
    from hgproto.language.model import Field, Structure

__all__ = ["BUILTINS", "cbor_annotation", "entry_annotation", "python_type", "reachable", "record", "replaces", "slots"]

BUILTINS = "_builtins"
"""The name of the module ``builtins`` in a codec. Fields cannot have it, because names in a schema start with a letter."""
_TYPES = re.compile(r"\b(bool|bytes|dict|int|list|str|tuple)\b")
_ANNOTATIONS = {
    "text": "str",
    "ascii": "str",
    "bytes": "bytes",
    "int": "int",
    "uint": "int",
    "bool": "bool",
    "any": "Any",
    "map": "dict[str | bytes, Any]",
    "tagged": "dict[str | bytes, Any]",
}


def python_type(field: Field, module: str = "") -> str:
    """Returns the annotation of a field's value. ``module``: in another module, the name of the codec and a dot."""
    if field.repeat:
        return f"tuple[{module}{camel(field.type)}, ...]"
    item = PYTHON_TYPES.get(field.type, "int")
    return f"tuple[{item}, ...]" if field.is_array else item


def reachable(annotation: str, names: Collection[str]) -> str:
    """Returns the annotation for use in a class with fields of these names, which may hide the names of types."""
    return _TYPES.sub(lambda found: f"{BUILTINS}.{found[0]}" if found[0] in names else found[0], annotation)


def cbor_annotation(type: CborType) -> str:
    """Returns the annotation of a CBOR value."""
    match type.name:
        case "array":
            return f"list[{cbor_annotation(type.parts[0])}]"
        case "tuple":
            return f"tuple[{', '.join(map(cbor_annotation, type.parts))}]"
        case "map-of":
            return f"dict[{cbor_annotation(type.parts[0])}, {cbor_annotation(type.parts[1])}]"
        case "one-of":
            return " | ".join(dict.fromkeys(cbor_annotation(part) for part in type.parts))
    return _ANNOTATIONS[type.name]


def _units(field: Field) -> str:
    if field.repeat:
        return "zero or more"
    if field.fixed_size is not None:
        return f"{8 * field.fixed_size} bits"
    charset = {"ascii": "ASCII", "utf8": "UTF-8", "bytes": "bytes"}[field.type]
    return f"{charset}, one or more strings" if field.is_array and "empty" in field.rules else charset


def record(structure: Structure) -> list[str]:
    """Returns the lines of the class for a structure's values."""
    if structure.is_cbor:
        return _cbor_record(structure)
    values = structure.values
    shown = [f.name for f in structure.shown]
    doc = structure.doc + "\n\n" + "\n".join(f"``{f.name}``: {f.doc} ({_units(f)})" for f in structure.shown)
    lines = [f"class {camel(structure.name)}(Record):", *docstring(doc), ""]
    lines += slots([f.name for f in values], "in wire order")
    if len(shown) != len(values):
        lines.append("    " + flat(Group("shown = (", [*map(literal, shown)])))
    types = {f.name: reachable(python_type(f), shown) for f in values}
    lines += ["", *(f"    {name}: {kind}" for name, kind in types.items()), ""]
    parameters = ["self", *(f"{name}: {kind}" for name, kind in types.items())]
    lines.append(f"    def __init__({', '.join(parameters)}) -> None:")
    lines += [f"        self.{f.name} = {f.name}" for f in values]
    for field in structure.shown:
        if field.sized_by is not None:
            kind = reachable(python_type(field), shown)
            lines += ["", "    @property", f"    def {field.name}(self) -> {kind}:"]
            lines += [*docstring(field.doc, 8), f"        return {_computed(field, structure)}"]
    lines += replaces(types)
    return [*lines, "", "", f"_bare_{snake(structure.name)} = bare({camel(structure.name)})"]


def slots(names: list[str], order: str) -> list[str]:
    """Returns the line of a record's slots. ``order``: a description of their order if it is not alphabetical."""
    note = "" if names == sorted(names) else f"  # noqa: RUF023 - {order}"
    return [f"    {flat(Group('__slots__ = (', [literal(name) for name in names]))}{note}"]


def replaces(types: Mapping[str, str]) -> list[str]:
    """Returns the lines that declare the types of the inherited method ``replace``."""
    parameters = ["self", "*", *(f"{name}: {kind} = ..." for name, kind in types.items())]
    head = f"        def replace({', '.join(parameters)}) -> Self:"
    return ["", "    if TYPE_CHECKING:", "", head, *docstring("Returns a copy with some fields changed.", 12)]


def _computed(field: Field, structure: Structure) -> str:
    """Returns the expression for a size, a count, or an array of sizes."""
    sized = structure.field(str(field.sized_by))
    encode = ENCODE.get(sized.type, "")
    if sized.type == "bytes":
        if field.is_array:
            return f"tuple(len(bytes_like(item)) for item in self.{sized.name})"
        return f"len(bytes_like(self.{sized.name}))"
    if field.is_array:
        return f"tuple(len(item{encode}) for item in self.{sized.name})"
    if sized.fixed_size is not None:
        return f"len(self.{sized.sized_by})"
    return f"len(self.{sized.name}{encode})"


def entry_annotation(entry: CborEntry) -> str:
    """Returns the annotation of an entry of a CBOR map, or of an item of a sequence."""
    kind = cbor_annotation(entry.type)
    if entry.repeated:
        return f"tuple[{kind}, ...]"
    return f"{kind} | None" if entry.optional else kind


def _sequence_record(structure: Structure) -> list[str]:
    doc = structure.doc + "\n\n" + "\n".join(f"``{e.name}``: {e.doc}" for e in structure.entries)
    lines = [f"class {camel(structure.name)}(Record):", *docstring(doc), ""]
    names = [e.name for e in structure.entries]
    types = {e.name: reachable(entry_annotation(e), names) for e in structure.entries}
    lines += slots(names, "in wire order")
    lines += ["", *(f"    {name}: {kind}" for name, kind in types.items()), ""]
    parameters = ["self", *(f"{e.name}: {types[e.name]}{' = ()' if e.repeated else ''}" for e in structure.entries)]
    lines.append(f"    def __init__({', '.join(parameters)}) -> None:")
    lines += [f"        self.{name} = {name}" for name in names]
    return [*lines, *replaces(types)]


def _cbor_record(structure: Structure) -> list[str]:
    if structure.is_sequence:
        return _sequence_record(structure)
    doc = structure.doc + "\n\n" + "\n".join(f"``{e.name}``: {e.doc}" for e in structure.entries)
    doc += "\n``extra``: The values of keys that the revision does not define, each as the bytes of its CBOR item."
    lines = [f"class {camel(structure.name)}(Record):", *docstring(doc), ""]
    required = [e for e in structure.entries if not e.optional]
    optional = [e for e in structure.entries if e.optional]
    names = [*(e.name for e in (*required, *optional)), "extra"]
    shown = [*(e.name for e in structure.entries), "extra"]
    lines += slots([*names, "_order"], "in the schema's order")
    if shown != names:
        lines.append("    " + flat(Group("shown = (", [*map(literal, shown)])))
    types = {e.name: entry_annotation(e) for e in structure.entries}
    types["extra"] = "dict[bytes, bytes]"
    types = {name: reachable(kind, names) for name, kind in types.items()}
    lines += ["", *(f"    {name}: {kind}" for name, kind in types.items()), ""]
    parameters = ["self", *(f"{e.name}: {types[e.name]}" for e in required)]
    parameters += [f"{e.name}: {types[e.name]} = None" for e in optional]
    parameters.append(f"extra: {types['extra']} | None = None")
    lines.append(f"    def __init__({', '.join(parameters)}) -> None:")
    lines += [f"        self.{e.name} = {e.name}" for e in structure.entries]
    lines.append("        self.extra = {} if extra is None else extra")
    return [*lines, *replaces(types)]
