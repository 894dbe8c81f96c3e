"""Checks the data of a schema against ``meta.schema.json``, and translates its errors for authors of schemas.

The JSON Schema defines the shape. This module only adds the place and advice to each error of jsonschema.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend

from hgproto.language.problems import Adviser, Problem
from hgproto.language.source import is_old_boolean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgproto.language.source import Source

__all__ = ["shape_problems"]

_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "boolean": "true or false",
}

_BOUNDS = {
    "minItems": ("{} or more items", "add what is missing"),
    "maxItems": ("{} or fewer items", "remove the others"),
    "minProperties": ("{} or more keys", "add what is missing"),
    "maxProperties": ("{} or fewer keys", "remove the others"),
    "minLength": ("some text", "write it"),
    "minimum": ("a number of at least {}", "use a larger one"),
    "maximum": ("a number of at most {}", "use a smaller one"),
    "uniqueItems": ("each item once", "remove the second one"),
}
"""For each bound, the expected value and the remedy for other values."""


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[ValidationError]:
    # In JSON Schema, $ matches only the end of the text. In Python it also matches before a last line break.
    if isinstance(value, str) and not re.search(pattern.replace("$", r"\Z"), value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _unique(_: Any, wanted: bool, value: Any, __: Any) -> Iterator[ValidationError]:
    # This takes linear time; jsonschema compares each item with all others.
    if wanted and isinstance(value, list) and len({json.dumps(item, sort_keys=True) for item in value}) < len(value):
        yield ValidationError("an item occurs twice")


# In JSON Schema, 1.0 is an integer; in Python it is not.
_INTEGER = Draft202012Validator.TYPE_CHECKER.redefine(
    "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
)
_KEYWORDS = {"pattern": _pattern, "uniqueItems": _unique}
_Validator: Any = extend(Draft202012Validator, _KEYWORDS, type_checker=_INTEGER)  # type: ignore[no-untyped-call]


def shape_problems(source: Source, meta: dict[str, Any]) -> list[Problem]:
    """Returns a fault for each part of the data in ``source`` that the JSON Schema ``meta`` forbids."""
    problems: list[Problem] = []
    adviser = Adviser()
    for error in _Validator(meta).iter_errors(source.data):
        problems.extend(_explain(source, error, adviser))
    return problems


def _explain(source: Source, error: ValidationError, adviser: Adviser) -> list[Problem]:
    path = tuple(error.absolute_path)
    place = source.place(path)
    value: Any = error.instance
    schema: Any = error.schema
    wanted: Any = error.validator_value
    match error.validator:
        case "additionalProperties":
            known = schema.get("properties", {})
            return [
                Problem(source.key_place((*path, key)), f"unknown key {key!r}", adviser.suggestion(key, known))
                for key in value
                if key not in known
            ]
        case "required":
            missing = [key for key in wanted if key not in value]
            return [Problem(place, f"the key {key!r} is missing", f"add {key!r}") for key in missing]
        case "type":
            kind = _TYPES.get(str(wanted), str(wanted))
            return [Problem(place, f"expected {kind}, found {_show(value)}", _advice(wanted, value))]
        case "enum":
            return [Problem(place, f"{_show(value)} is not allowed", adviser.suggestion(str(value), map(str, wanted)))]
        case "const":
            return [Problem(place, f"expected {_show(wanted)}, found {_show(value)}", "correct it")]
        case "pattern" if "propertyNames" in error.absolute_schema_path:
            return [
                Problem(
                    source.key_place((*path, str(value))),
                    f"{value!r} cannot be a name",
                    f"match {wanted}",
                )
            ]
        case "pattern":
            return [Problem(place, f"{_show(value)} does not have the right form", f"match {wanted}")]
        case "not":
            keys = [key for key in wanted.get("required", []) if key in value]
            return [
                Problem(source.key_place((*path, key)), f"{key!r} is not allowed here", f"remove {key!r}")
                for key in keys
            ]
        case "oneOf" | "anyOf":
            return _explain_choice(source, error, adviser)
        case bound if bound in _BOUNDS:
            expected, advice = _BOUNDS[bound]
            found = f"{len(value)}" if bound[3:] in ("Items", "Properties") else _show(value)
            return [Problem(place, f"expected {expected.format(wanted)}, found {found}", advice)]
        case _:
            return [Problem(place, error.message, f"see the key's description: {schema.get('description', '')}")]


def _explain_choice(source: Source, error: ValidationError, adviser: Adviser) -> list[Problem]:
    """Returns the faults of a value that fits none of several choices, or more than one."""
    path = tuple(error.absolute_path)
    schema: Any = error.schema
    choices: Any = error.validator_value
    sets = [choice["required"] for choice in choices if "required" in choice]
    if len(sets) == len(choices):
        if not isinstance(error.instance, dict):
            return []  # a value that is not a mapping has another error
        present = set(error.instance)
        nearest = max(sets, key=lambda keys: (len(present.intersection(keys)), -len(keys)))
        if any(present.issuperset(keys) for keys in sets):
            advice = "keep one of them"
        elif present.isdisjoint(nearest):
            advice = "add one of them"
        else:
            advice = f"add {' and '.join(repr(key) for key in nearest if key not in present)}"
        wanted = ", or ".join(" and ".join(map(repr, keys)) for keys in sets)
        found = ", ".join(sorted(present)) or "nothing"
        return [Problem(source.place(path), f"expected exactly one of {wanted}, found {found}", advice)]
    best = best_match([error])
    if best is not None and best is not error:
        return _explain(source, best, adviser)
    return [
        Problem(
            source.place(path), f"{_show(error.instance)} does not fit any choice", str(schema.get("description", ""))
        )
    ]


def _advice(wanted: object, value: object) -> str:
    if wanted == "boolean" and is_old_boolean(value):
        return f"write true or false; {value!r} is a string in YAML 1.2"
    if wanted == "string" and isinstance(value, bool):
        return "quote it; true and false are booleans"
    if wanted == "string" and isinstance(value, int | float):
        return "quote it"
    if value is None:
        return "write a value after the colon"
    return "correct it"


def _show(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)
