"""Makes the search find numbers: Sphinx leaves words of digits, such as 65535, out of the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sphinx.search.en import SearchEnglish

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["SearchWithNumbers", "setup"]


class SearchWithNumbers(SearchEnglish):
    """English, with numbers of at least two digits."""

    def word_filter(self, word: str) -> bool:
        return (word.isdigit() and len(word) > 1) or super().word_filter(word)


def setup(app: Sphinx) -> dict[str, bool]:
    """Replaces the search for English. ``_static/scorer.js`` does the same for what readers type."""
    app.add_search_language(SearchWithNumbers)
    app.config.html_search_scorer = str(app.srcdir / "_static" / "scorer.js")
    return {"parallel_read_safe": True}
