"""``hgproto coverage``: what of the specification a capture or a corpus exercises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.cli.common import FAULT, GOOD, InputError, UsageError, inputs_of, named, open_input
from hgproto.errors import HexError, HgprotoError, HumanFormError, TextError
from hgproto.hexform import form_of
from hgproto.option_types import percentage

if TYPE_CHECKING:
    import argparse

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
        "ends in .hex the same as hexadecimal text; in .session a session in human form; in .json vectors or golden sessions.",
    )
    coverage.add_argument(
        "files", nargs="+", metavar="FILE", help="files, directories of files, or - for standard input"
    )
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
    for path in inputs_of(options.files):
        number += 1
        with open_input(path) as file:
            content = file.read()
        try:
            coverage.content(content, form_of(path), options.role)
        except TextError as error:
            raise InputError(f"{named(path)}:1:1: {error}") from None
        except (HexError, HumanFormError) as error:
            raise InputError(f"{named(path)}:{error.line}:{error.column}: {error.message}") from None
        except (HgprotoError, ValueError, LookupError) as error:
            raise InputError(f"{named(path)}: {error}") from None
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
