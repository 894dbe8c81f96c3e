"""Marks of tests that are parametrised by data which names the requirements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def labelled(items: Iterable[dict[str, Any]], *keys: str) -> list[Any]:
    """Vectors or sessions as parameters, each marked by the requirements that it lists under ``keys``."""
    keys = keys or ("requirements",)
    return [_marked([item], [name for key in keys for name in item.get(key, ())]) for item in items]


def by_column(rows: Iterable[Sequence[Any]], column: int) -> list[Any]:
    """Rows as parameters, each marked by the requirement in a column; None is none."""
    return [_marked(row, [row[column]] if row[column] else []) for row in rows]


def by_findings(cases: Mapping[str, tuple[str, list[str]]]) -> list[Any]:
    """Names of cases as parameters, each marked by the ids in its findings (a line, an id, a path)."""
    return [_marked([name], [finding.split()[1] for finding in found]) for name, (_, found) in cases.items()]


def _marked(values: Sequence[Any], names: Iterable[str]) -> Any:
    ids = dict.fromkeys(names)
    return pytest.param(*values, marks=[pytest.mark.requirement(*ids)] if ids else [])
