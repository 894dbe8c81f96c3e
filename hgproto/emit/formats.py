"""Formats of fields in generated code: struct codes, encodings, and runs of integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.line_breaks import WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hgproto.language.model import Field, Schema

__all__ = ["DECODE", "ENCODE", "FORMATS", "PYTHON_TYPES", "header_format", "integer_runs"]

FORMATS = {"u8": "B", "u16": "H", "u24": "HB", "u32": "I"}
"""The struct codes of integers. Reading 24 bits as 16 and 8 bits is fastest."""

PYTHON_TYPES = {"ascii": "str", "utf8": "str", "bytes": "bytes"}
DECODE = {"ascii": '.decode("ascii")', "utf8": ".decode()", "bytes": ""}
ENCODE = {"ascii": '.encode("ascii")', "utf8": ".encode()", "bytes": ""}


def header_format(schema: Schema) -> str:
    """Returns the struct code of the header."""
    return "".join(FORMATS[f.type] for f in schema.header.fields[:-1])


def integer_runs(fields: Sequence[Field]) -> Iterator[list[Field]]:
    """Yields the runs of consecutive single integers, each short enough that one line of code can read it."""
    run: list[Field] = []
    longest = max((len(field.name) for field in fields if not field.repeat), default=0)
    for field in fields:
        if field.fixed_size is None or field.is_array:
            if run:
                yield run
            run = []
        elif run and len(_reading([*run, field], longest)) > WIDTH:
            yield run
            run = [field]
        else:
            run.append(field)
    if run:
        yield run


def _reading(run: list[Field], longest: int) -> str:
    """Returns the longest line of code that reads a run."""
    targets = ", ".join(
        f"{field.name}_low, {field.name}_high" if field.type == "u24" else f"{field.name}_" for field in run
    )
    code = "".join(FORMATS[field.type] for field in run)
    return f"{' ' * 12}{targets} = _unpack_{code.lower()}(payload, {'x' * longest}_end + 99)"
