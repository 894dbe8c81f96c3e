"""Reports of findings, in five formats."""

from __future__ import annotations

from hgproto.report.base import UNREADABLE_CONTENT, UNREADABLE_FILE, Report, Unreadable
from hgproto.report.github import GithubReport
from hgproto.report.jsonlines import JsonReport
from hgproto.report.junit import JunitReport
from hgproto.report.sarif import SarifReport
from hgproto.report.text import TextReport

__all__ = ["FORMATS", "UNREADABLE_CONTENT", "UNREADABLE_FILE", "Report", "Unreadable"]

FORMATS: dict[str, type[Report]] = {
    "text": TextReport,
    "json": JsonReport,
    "sarif": SarifReport,
    "junit": JunitReport,
    "github": GithubReport,
}
"""By the name that ``hgproto validate --format`` takes."""
