"""The shape of a schema: its data against ``meta.schema.json``, in messages for people.

The JSON Schema says what is allowed; this module only turns what jsonschema reports into a place and an advice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from hgproto.spec.problems import Problem, suggestion
from hgproto.spec.source import is_old_boolean

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

    from hgproto.spec.source import Source

__all__ = ["shape_problems"]

_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "boolean": "true or false",
}


def shape_problems(source: Source, meta: dict[str, Any]) -> list[Problem]:
    """Where the data of ``source`` differs from what the JSON Schema ``meta`` allows."""
    problems: list[Problem] = []
    for error in Draft202012Validator(meta).iter_errors(source.data):
        problems.extend(_explain(source, error))
    return problems


def _explain(source: Source, error: ValidationError) -> list[Problem]:
    path = tuple(error.absolute_path)
    place = source.place(path)
    value: Any = error.instance
    schema: Any = error.schema
    wanted: Any = error.validator_value
    match error.validator:
        case "additionalProperties":
            known = schema.get("properties", {})
            return [
                Problem(source.key_place((*path, key)), f"unknown key {key!r}", suggestion(key, known))
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
            return [Problem(place, f"{_show(value)} is not allowed", suggestion(str(value), map(str, wanted)))]
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
            return [Problem(place, f"{_show(value)} has not the right form", f"match {wanted}")]
        case "not":
            keys = ", ".join(wanted.get("required", []))
            return [Problem(place, f"{keys!r} is not allowed here", f"remove {keys!r}")]
        case "oneOf" | "anyOf":
            return _explain_choice(source, error)
        case _:
            return [Problem(place, error.message, f"see the key's description: {schema.get('description', '')}")]


def _explain_choice(source: Source, error: ValidationError) -> list[Problem]:
    """A choice where none fits, or more than one does."""
    path = tuple(error.absolute_path)
    schema: Any = error.schema
    choices: Any = error.validator_value
    sets = [choice["required"] for choice in choices if "required" in choice]
    if len(sets) == len(choices) and isinstance(error.instance, dict):
        wanted = ", or ".join(" and ".join(map(repr, keys)) for keys in sets)
        present = ", ".join(sorted(error.instance)) or "nothing"
        return [Problem(source.place(path), f"expected just one of {wanted}; found {present}", "keep one of them")]
    best = best_match([error])
    if best is not None and best is not error:
        return _explain(source, best)
    return [Problem(source.place(path), f"{_show(error.instance)} fits no choice", str(schema.get("description", "")))]


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
