"""Traceability: the places that enforce each requirement, the vectors that name it, and the files whose tests exercise it.

A snapshot is built from the catalog, the vectors, and the record of a test run that :mod:`hgproto.pytest_plugin` has written.
It names test files, not tests. Thus it changes only when a requirement gains or loses a file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hgproto.errors import counted, printable
from hgproto.revisions.revision import DEFAULT_REVISION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hgproto.runtime.catalogue import Requirement

__all__ = ["SNAPSHOT", "gaps", "read_record", "read_snapshot", "snapshot", "text_of"]

SNAPSHOT = "tests/trace.json"
"""The path of the snapshot in a project."""
NOTHING_COLLECTED = 5
"""The exit status of pytest if there are no tests to run."""


def read_record(file: Path) -> dict[str, dict[str, Any]]:
    """Returns the tests of a record by node id.

    Raises ``ValueError`` for a file that is not a record; for tests without requirements of the default revision; and for a run
    that did not pass, ended before every test had a result, or has no passed test that names a requirement.
    """
    try:
        record = json.loads(file.read_bytes())
        status, unfinished, revisions = record["exit_status"], record["unfinished"], record["revisions"]
        tests: dict[str, dict[str, Any]] = record["tests"]
        whole = _are_texts(unfinished) and _are_texts(revisions) and all(_is_test(test) for test in tests.values())
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        whole = False
    if not whole:
        raise ValueError("expected a record that pytest has written with --requirements-record")
    if DEFAULT_REVISION not in revisions:
        # The ids of another schema may be the same and mean something else.
        raise ValueError(
            f"expected {DEFAULT_REVISION} among the catalogs of the tests, found {', '.join(revisions) or 'no revision'}; "
            f"add {DEFAULT_REVISION} to hgproto_catalogs"
        )
    if status == NOTHING_COLLECTED:
        raise ValueError("expected tests that name requirements, found none")
    if status != 0:
        raise ValueError(f"expected a test run that has passed, found exit status {status}")
    if unfinished:
        names = f"{unfinished[0]}{' and others' if len(unfinished) > 1 else ''}"
        raise ValueError(
            f"expected a result of every test, found no result of {counted(len(unfinished), 'test')}: {names}"
        )
    if not tests:
        raise ValueError("expected tests that name requirements and have passed, found none")
    return tests


def _is_test(test: Any) -> bool:
    """True if an entry of a record lists the requirements that a test names, and those that were seen violated."""
    return _are_texts(test["names"]) and (test["broken"] is None or _are_texts(test["broken"]))


def _are_texts(value: Any) -> bool:
    """True for a list of texts."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def snapshot(
    requirements: Mapping[str, Requirement], vectors: Path, tests: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Builds the snapshot: an entry for each requirement.

    ``vectors``: the directory of the vectors, with the sessions in ``sessions``. ``tests``: from :func:`read_record`. An entry
    has ``level``, ``enforced``, ``places``, and, if nothing enforces it, ``reason``. ``kept`` and ``broken`` are the ids of the
    vectors and sessions that meet and violate it. ``tests`` has the files with tests that name it and have passed. The value is
    ``seen broken`` if a violation was seen while one of these tests ran. Otherwise it is ``random input`` if one of them is a
    property test, whose violations are not recorded, or else ``passed``.
    """
    shown = list(_shown(vectors))
    executed = _executed(tests)
    return {
        name: {
            "level": requirement.level,
            "enforced": requirement.enforced,
            **({"reason": requirement.reason} if requirement.enforced == "manual" else {}),
            "places": list(requirement.places),
            "kept": [shower for shower, kept, _ in shown if name in kept],
            "broken": [shower for shower, _, broken in shown if name in broken],
            "tests": executed.get(name, {}),
        }
        for name, requirement in requirements.items()
    }


def text_of(entries: Mapping[str, Any]) -> str:
    """Returns the text of a snapshot's file: JSON with a line for each member of an entry, and for each file of tests."""
    text = _object({name: _object(entry, 4) for name, entry in entries.items()}, 2) + "\n"
    # The name of a file may have bytes that are not UTF-8; the escape is that of JSON too.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _object(members: Mapping[str, Any], indent: int) -> str:
    """Returns the text of an object with a line for each member. The members of a snapshot are texts already."""
    lines = []
    for name, value in members.items():
        text = value if indent == 2 else _object(value, indent + 2) if name == "tests" else _json(value)
        lines.append(f"{' ' * indent}{_json(name)}: {text}")
    inner = ",\n".join(lines)
    return f"{{\n{inner}\n{' ' * (indent - 2)}}}" if lines else "{}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def read_snapshot(file: Path) -> dict[str, dict[str, Any]]:
    """Returns the entries of a snapshot that :func:`text_of` has built.

    Raises :class:`OSError` if the file cannot be read, and ``ValueError`` or ``RecursionError`` if it is not a snapshot.
    """
    entries = json.loads(file.read_bytes())
    if not isinstance(entries, dict):
        raise ValueError("expected an object with an entry for each requirement")
    for name, entry in entries.items():
        if not _is_entry(entry):
            members = "level, enforced, places, kept, broken, and tests"
            raise ValueError(printable(f"{name}: expected an object with {members}"))
    return entries


def _is_entry(entry: Any) -> bool:
    """True for the entry of a requirement in a snapshot."""
    if not isinstance(entry, dict):
        return False
    tests = entry.get("tests")
    return (
        all(isinstance(entry.get(key), str) for key in ("level", "enforced"))
        and all(_are_texts(entry.get(key)) for key in ("places", "kept", "broken"))
        and isinstance(tests, dict)
        and all(isinstance(cases, str) for cases in tests.values())
    )


def gaps(entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns a sentence for each MUST and MUST NOT that no test has exercised. Requirements with a stated reason are exempt."""
    return [
        f"{name}: {entry['level']}, and no test has exercised it"
        for name, entry in entries.items()
        if entry["level"] in ("MUST", "MUST NOT") and not entry["tests"] and not entry.get("reason")
    ]


def _shown(directory: Path) -> Iterator[tuple[str, set[str], set[str]]]:
    """Yields the id of each vector and session, the requirements that it meets, and those that it violates."""
    for file in [*sorted(directory.glob("*.json")), *sorted((directory / "sessions").glob("*.json"))]:
        content = json.loads(file.read_text(encoding="utf-8"))
        for one in (*content.get("vectors", ()), *content.get("sessions", ())):
            named, found = set(one["requirements"]), set(one.get("findings", ()))
            broken = found if one.get("result") == "valid" else named | found
            yield one["id"], named - broken, broken


def _executed(tests: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Returns for each requirement the files whose tests exercised it, and the result."""
    cases: dict[str, dict[str, set[bool | None]]] = {}
    for node, test in sorted(tests.items()):
        file = node.partition("::")[0]
        for name in test["names"]:
            seen = None if test["broken"] is None else name in test["broken"]
            cases.setdefault(name, {}).setdefault(file, set()).add(seen)
    return {name: {file: _how(seen) for file, seen in found.items()} for name, found in cases.items()}


def _how(seen: set[bool | None]) -> str:
    return "seen broken" if True in seen else "random input" if None in seen else "passed"
