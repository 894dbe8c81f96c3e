"""Reports of findings, in five formats."""

from __future__ import annotations

from hgproto.judging.report.base import (
    MISSING_PACKAGE,
    TOO_MANY_INCOMPLETE,
    UNREADABLE_CONTENT,
    UNREADABLE_FILE,
    Report,
    Unreadable,
)
from hgproto.judging.report.github import GithubReport
from hgproto.judging.report.jsonlines import JsonReport
from hgproto.judging.report.junit import JunitReport
from hgproto.judging.report.sarif import SarifReport
from hgproto.judging.report.text import TextReport

__all__ = [
    "FORMATS",
    "MISSING_PACKAGE",
    "TOO_MANY_INCOMPLETE",
    "UNREADABLE_CONTENT",
    "UNREADABLE_FILE",
    "Report",
    "Unreadable",
]

FORMATS: dict[str, type[Report]] = {
    "text": TextReport,
    "json": JsonReport,
    "sarif": SarifReport,
    "junit": JunitReport,
    "github": GithubReport,
}
"""The report classes by their names for ``hgproto validate --format``."""
