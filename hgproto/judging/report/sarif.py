"""The report as SARIF 2.1.0, for code scanning services.

Each result is written immediately, so the memory does not grow with the results. The rules of SARIF follow the results,
and include only the violated requirements.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hgproto import __version__
from hgproto.judging.finding import ERROR, NOTE
from hgproto.judging.report.base import TOO_MANY_INCOMPLETE, UNREADABLE_CONTENT, Report, printable

if TYPE_CHECKING:
    from typing import TextIO

    from hgproto.judging.baseline import Known
    from hgproto.judging.finding import Finding
    from hgproto.judging.report.base import Unreadable
    from hgproto.runtime.catalogue import Requirement

__all__ = ["SarifReport"]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LONGEST = 1000
"""The most characters of a text. Services truncate longer ones."""


class SarifReport(Report):
    """A report in SARIF 2.1.0 with one run, and a result for each finding."""

    def __init__(self, out: TextIO, *, colour: bool = False, site: str = "", strict: bool = False) -> None:
        super().__init__(out, colour=colour, site=site, strict=strict)
        self._rules: dict[str, tuple[int, dict[str, Any]]] = {}
        """The rules of SARIF for the violated requirements, each with its index."""
        self._results = 0
        self._notifications: list[dict[str, Any]] = []
        self._successful = True
        out.write(f'{{"$schema": {json.dumps(SCHEMA)}, "version": "2.1.0", "runs": [{{"results": [')

    def finding(self, name: str, finding: Finding, known: Known | None = None) -> None:
        """Writes a result."""
        if finding.id not in self._rules:
            self._rules[finding.id] = (len(self._rules), self._rule(finding.requirement, finding.severity))
        uri = _uri(name)
        properties = {"frame": finding.frame, "side": finding.side, "bits": finding.bits, "ends": finding.ends}
        physical: dict[str, Any] = {"artifactLocation": {"uri": uri}}
        if finding.line is None:
            physical["region"] = {"byteOffset": finding.offset, "byteLength": finding.size}
        else:
            physical["region"] = {"startLine": finding.line}
            properties |= {"offset": finding.offset, "bytes": finding.size}
        result: dict[str, Any] = {
            "ruleId": finding.id,
            "level": finding.severity,
            "message": {"text": _text(finding.message[:_LONGEST])},
            "locations": [
                {
                    "physicalLocation": physical,
                    "logicalLocations": [{"fullyQualifiedName": finding.path or "input", "kind": "member"}],
                }
            ],
            "partialFingerprints": {"hgproto/v1": _fingerprint(uri, finding)},
            "properties": {key: value for key, value in properties.items() if value is not None},
        }
        if known is not None:
            result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": known.reason}]
        self._result(result)

    def unreadable(self, name: str, fault: Unreadable) -> None:
        """Writes a result. A problem with a file or a package also marks the run as failed."""
        if fault.rule not in self._rules:
            level = {"level": ERROR}
            rule = {"id": fault.rule, "shortDescription": {"text": fault.sentence}, "defaultConfiguration": level}
            self._rules[fault.rule] = (len(self._rules), rule)
        places = {"startLine": fault.line, "startColumn": fault.column}
        region = {key: value for key, value in places.items() if value is not None}
        location: dict[str, Any] = {"artifactLocation": {"uri": _uri(name)}, **({"region": region} if region else {})}
        about = {
            "level": ERROR,
            "message": {"text": _text(printable(fault.message)[:_LONGEST])},
            "locations": [{"physicalLocation": location}],
        }
        self._result({"ruleId": fault.rule, **about})
        if fault.rule not in (UNREADABLE_CONTENT, TOO_MANY_INCOMPLETE):
            self._successful = False
            self._notifications.append(about)

    def hint(self, name: str, message: str) -> None:
        """Keeps a notification."""
        place = {"physicalLocation": {"artifactLocation": {"uri": _uri(name)}}}
        self._notifications.append({"level": NOTE, "message": {"text": message}, "locations": [place]})

    def _result(self, result: dict[str, Any]) -> None:
        self.out.write(",\n" if self._results else "\n")
        self._results += 1
        self.out.write(json.dumps({**result, "ruleIndex": self._rules[result["ruleId"]][0]}))

    def close(self) -> None:
        """Writes the rules, the result of the run, and the end."""
        driver = {
            "name": "hgproto",
            "semanticVersion": __version__,
            "rules": [rule for _, rule in self._rules.values()],
        }
        invocation: dict[str, Any] = {"executionSuccessful": self._successful}
        if self._notifications:
            invocation["toolExecutionNotifications"] = self._notifications
        rest = {"columnKind": "unicodeCodePoints", "invocations": [invocation], "tool": {"driver": driver}}
        self.out.write(f"\n], {json.dumps(rest)[1:]}]}}\n")

    def _rule(self, requirement: Requirement, severity: str) -> dict[str, Any]:
        ours = "" if requirement.source == "protocol" else " This is our resolution: the source is silent."
        rule: dict[str, Any] = {
            "id": requirement.id,
            "shortDescription": {"text": requirement.sentence},
            "fullDescription": {"text": f"{requirement.why}{ours}"},
            "help": {"text": f"{requirement.sentence} {requirement.why}{ours} Source: {requirement.section}."},
            "defaultConfiguration": {"level": severity},
        }
        if self.site:
            rule["helpUri"] = f"{self.site}requirements.html#{requirement.id}"
        return rule


def _uri(name: str) -> str:
    """Returns the address of an input, relative to the working directory unless its path is absolute."""
    path = PurePath("stdin" if name == "standard input" else name)
    return path.as_uri() if path.is_absolute() else quote(os.fsencode(path.as_posix()))


def _text(text: str) -> str:
    """Returns a message with SARIF links escaped, so that bytes from a peer cannot become a link."""
    return re.sub(r"([\\\[\]])", r"\\\1", text) if "](" in text else text


def _fingerprint(uri: str, finding: Finding) -> str:
    """Returns a fingerprint that stays the same if bytes before the fault change."""
    path = "".join(character for character in finding.path if not character.isdigit())
    parts = (uri, finding.id, str(finding.side), path, finding.around.hex())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
