"""How fields are read and written in straight code: struct codes, encodings, runs of integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.line_breaks import WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hgproto.language.model import Field, Schema

__all__ = ["DECODE", "ENCODE", "FORMATS", "PYTHON_TYPES", "header_format", "integer_runs"]

FORMATS = {"u8": "B", "u16": "H", "u24": "HB", "u32": "I"}
"""struct codes; 24 bits are read as 16 and 8, the fastest way there is."""

PYTHON_TYPES = {"ascii": "str", "utf8": "str", "bytes": "bytes"}
DECODE = {"ascii": '.decode("ascii")', "utf8": ".decode()", "bytes": ""}
ENCODE = {"ascii": '.encode("ascii")', "utf8": ".encode()", "bytes": ""}


def header_format(schema: Schema) -> str:
    """The struct code of the header."""
    return "".join(FORMATS[f.type] for f in schema.header.fields[:-1])


def integer_runs(fields: Sequence[Field]) -> Iterator[list[Field]]:
    """Runs of single integers that follow one another, each short enough to be read in one line."""
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
    """The longest line that reads a run."""
    targets = ", ".join(
        f"{field.name}_low, {field.name}_high" if field.type == "u24" else f"{field.name}_" for field in run
    )
    code = "".join(FORMATS[field.type] for field in run)
    return f"{' ' * 12}{targets} = _unpack_{code.lower()}(payload, {'x' * longest}_end + 99)"
