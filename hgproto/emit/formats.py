"""How fields are read and written in straight code: struct codes, encodings, runs of integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgproto.spec.model import Field, Schema, Structure

__all__ = ["DECODE", "ENCODE", "FORMATS", "PYTHON_TYPES", "header_format", "integer_runs"]

FORMATS = {"u8": "B", "u16": "H", "u24": "HB", "u32": "I"}
"""struct codes; 24 bits are read as 16 and 8, the fastest way there is."""

PYTHON_TYPES = {"ascii": "str", "utf8": "str", "bytes": "bytes"}
DECODE = {"ascii": '.decode("ascii")', "utf8": ".decode()", "bytes": ""}
ENCODE = {"ascii": '.encode("ascii")', "utf8": ".encode()", "bytes": ""}


def header_format(schema: Schema) -> str:
    """The struct code of the header."""
    return "".join(FORMATS[f.type] for f in schema.header.fields[:-1])


def integer_runs(structure: Structure) -> Iterator[list[Field]]:
    """Runs of single integers that follow one another."""
    run: list[Field] = []
    for field in structure.fields:
        if field.octets is not None and not field.is_array:
            run.append(field)
            continue
        if run:
            yield run
        run = []
    if run:
        yield run
