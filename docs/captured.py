"""The directive ``command-help``: a section for each command, with what it prints after ``--help``."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from hgproto import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

__all__ = ["CommandHelp", "setup"]


class CommandHelp(SphinxDirective):
    """All commands, and those under them."""

    def run(self) -> list[nodes.Node]:
        before = os.environ.get("COLUMNS")
        os.environ["COLUMNS"] = "84"
        try:
            return [self.section(name, parser) for name, parser in commands(cli.parser())]
        finally:
            os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)

    def section(self, name: str, parser: argparse.ArgumentParser) -> nodes.section:
        text = parser.format_help()
        block = nodes.literal_block(text, text, language="text")
        anchor = name.replace(" ", "-")
        return nodes.section("", nodes.title("", "", nodes.literal("", name)), block, ids=[anchor], names=[anchor])


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The commands of a parser that have none under them, by their whole name."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    if not groups:
        yield parser.prog, parser
    for group in groups:
        for part in group.choices.values():
            yield from commands(part)


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}
