"""``hgproto coverage``: what of the specification a capture or a corpus exercises."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hgproto.cli.common import FAULT, GOOD, InputError, UsageError
from hgproto.errors import HgprotoError, HumanFormError
from hgproto.option_types import percentage

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from hgproto.cli import Commands
    from hgproto.coverage import Coverage

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the command."""
    coverage = commands.add_parser(
        "coverage",
        help="what of the specification captures exercise",
        description="Counts the frame types, flags, edges of fields, transitions and broken requirements that captures or corpora "
        "exercise, and lists what they do not, with its place in the schema. A file is what one side sends; one whose name "
        "ends in .session a session in human form; one that ends in .json vectors or golden sessions.",
    )
    coverage.add_argument("files", nargs="+", metavar="FILE", help="files, or directories of them")
    coverage.add_argument("--role", choices=("client", "server"), help="who sends (default: told by the first stream)")
    coverage.add_argument(
        "--only", metavar="KINDS", help="only these, joined by commas: types, flags, edges, transitions, requirements"
    )
    coverage.add_argument("--fail-under", type=percentage, metavar="PERCENT", help="exit with 1 when less is exercised")
    coverage.add_argument("--format", choices=("text", "json"), default="text", help="the form (default: text)")
    coverage.set_defaults(run=_coverage)


def _coverage(options: argparse.Namespace) -> int:
    from hgproto.coverage import KINDS
    from hgproto.coverage import Coverage as Counting

    kinds = KINDS if options.only is None else tuple(options.only.split(","))
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"argument --only: there is no {kind!r}; there are {', '.join(KINDS)}")
    coverage = Counting()
    number = 0
    for path in _files(options.files):
        number += 1
        try:
            coverage.file(path, options.role)
        except HumanFormError as error:
            raise InputError(f"{path}: column {error.column}: {error.message}") from None
        except (HgprotoError, ValueError, LookupError) as error:
            raise InputError(f"{path}: {error}") from None
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
    reached, total = (sum(map(count, kinds)) for count in (coverage.reached, coverage.total))
    percent = 100 * reached / total
    if options.format == "json":
        _print_json(coverage, kinds, percent)
    else:
        for kind in kinds:
            print(f"{kind:<13}{coverage.reached(kind):>4} of {coverage.total(kind)}")
        print(f"{'all':<13}{reached:>4} of {total}, {percent:.1f} % ({number} files)")
        missing = list(coverage.missing(kinds))
        if missing:
            print("\nnot exercised:")
        for goal in missing:
            print(f"  {goal.place}: {goal.kind}: {goal.name}")
    return FAULT if options.fail_under is not None and percent < options.fail_under else GOOD


def _print_json(coverage: Coverage, kinds: tuple[str, ...], percent: float) -> None:
    import json

    shown = {
        "percent": round(percent, 2),
        "kinds": {kind: {"exercised": coverage.reached(kind), "all": coverage.total(kind)} for kind in kinds},
        "missing": [goal._asdict() for goal in coverage.missing(kinds)],
    }
    print(json.dumps(shown, indent=2))


def _files(paths: list[str]) -> Iterator[str]:
    for path in paths:
        if os.path.isdir(path):
            for directory, directories, names in os.walk(path):
                directories.sort()
                yield from (os.path.join(directory, name) for name in sorted(names) if not name.startswith("."))
        else:
            yield path
