"""framing-0002 with other names: every frame type, flag, structure, machine, state, and message is called otherwise.

The bytes stay the same, and so do the names of requirements, limits, profiles, guards, actions, and events. What only works
with our names fails with this schema.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

SCHEMA = Path(__file__).resolve().parents[1] / "schema"
FILES = ("framing.yaml", "framing-0002.yaml")


def new(name: str) -> str:
    """The new name of a part."""
    return f"x-{name}"


def renamed(folder: Path) -> Path:
    """Writes the schema with its other names into a folder; returns the file."""
    files = {name: yaml.safe_load((SCHEMA / name).read_text(encoding="utf-8")) for name in FILES}
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        changed = {key: _section(key, value) for key, value in data.items()}
        changed |= {"revision": "renamed-1"} if "revision" in data else {}
        text = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True, width=1 << 20)
        (folder / name).write_text(text, encoding="utf-8")
    return folder / FILES[1]


def _section(key: str, value: Any) -> Any:
    if key == "stream_flags":
        value = _flagged(value)
    elif key in _PARTS:
        value = {new(name): _PARTS[key](part) for name, part in value.items()}
    return _texts(value)


def _texts(value: Any) -> Any:
    """Leaves out the backticks of texts, since names stand between them."""
    if isinstance(value, dict):
        return {key: _texts(part) for key, part in value.items()}
    if isinstance(value, list):
        return [*map(_texts, value)]
    return value.replace("`", "") if isinstance(value, str) else value


def _flagged(part: Any) -> Any:
    part = part | {"flags": {new(name): flag for name, flag in part["flags"].items()}}
    if "constraints" in part:
        part["constraints"] = [_constraint(each) for each in part["constraints"]]
    return part


def _constraint(part: Any) -> Any:
    changed = {}
    for kind, value in part.items():
        if kind in ("requirement", "odd", "even"):
            changed[kind] = value
        elif isinstance(value, dict):
            changed[kind] = {new(name): [*map(new, names)] for name, names in value.items()}
        else:
            changed[kind] = [*map(new, value)]
    return changed


def _field(part: Any) -> Any:
    part = dict(part)
    for key in ("structure", "embed", "when", "after"):
        if key in part:
            part[key] = new(part[key])
    if "repeat" in part:
        part["type"] = new(part["type"])
    return part


def _structure(part: Any) -> Any:
    return part | {"fields": [_field(field) for field in part["fields"]]} if "fields" in part else part


def _frame(part: Any) -> Any:
    part = _flagged(part) | {"payload": [_field(case) for case in part["payload"]]}
    part["examples"] = [
        example | {"decodes": _decoded(example["decodes"])} if "decodes" in example else example
        for example in part.get("examples", [])
    ]
    return part


def _decoded(value: Any) -> Any:
    return value | {
        "type": new(value["type"]),
        "flags": [*map(new, value["flags"])],
        "stream_flags": [*map(new, value["stream_flags"])],
    }


def _message(part: Any) -> Any:
    return part | {"frames": [_message_part(frame) for frame in part["frames"]]}


def _message_part(part: Any) -> Any:
    part = part | {"frame": new(part["frame"])}
    if "flags" in part:
        part["flags"] = {new(flag): parameter for flag, parameter in part["flags"].items()}
    if "otherwise" in part:
        part["otherwise"] = new(part["otherwise"])
    if "choose" in part:
        part["choose"] = {parameter: [*map(new, flags)] for parameter, flags in part["choose"].items()}
    return part


def _machine(part: Any) -> Any:
    states = {new(name): state for name, state in part["states"].items()}
    rows = [_row(row) for row in part["transitions"]]
    return part | {"initial": new(part["initial"]), "states": states, "transitions": rows}


def _row(part: Any) -> Any:
    part = dict(part)
    part["from"] = [*map(new, part["from"])] if isinstance(part["from"], list) else new(part["from"])
    if "to" in part:
        part["to"] = new(part["to"])
    if isinstance(part.get("frame"), list):
        part["frame"] = [*map(new, part["frame"])]
    elif isinstance(part.get("frame"), dict):
        part["frame"] = {"except": [*map(new, part["frame"]["except"])]}
    if "when" in part:
        part["when"] = _condition(part["when"])
    return part


def _condition(part: Any) -> Any:
    if isinstance(part, str):
        return new(part)
    ((kind, inner),) = part.items()
    if kind in ("and", "or"):
        return {kind: [*map(_condition, inner)]}
    return {kind: _condition(inner)} if kind == "not" else part


_PARTS = {"frames": _frame, "structures": _structure, "machines": _machine, "messages": _message}
