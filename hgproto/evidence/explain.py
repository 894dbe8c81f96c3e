"""Explanations of requirements: the sentence, the reason, the places that enforce it, and valid and invalid bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgproto.evidence.examples import Examples
from hgproto.judging.finding import severity_of
from hgproto.revisions.revision import DEFAULT_REVISION, Revision
from hgproto.runtime.frame import check_instance

if TYPE_CHECKING:
    from typing import Any

    from hgproto.evidence.examples import Example
    from hgproto.runtime.catalogue import Requirement

__all__ = ["Explanation", "explain", "explanation_to_json"]


class Explanation(NamedTuple):
    """The explanation of a requirement.

    ``severity``: that of its findings. ``refused``: True if a receiver rejects a violation. ``good``: bytes that meet it; None if
    there is no such example. ``bad``: bytes that violate it; None if there is no such example. ``no_bad``: the reason why ``bad``
    is None; empty otherwise.
    """

    requirement: Requirement
    severity: str
    refused: bool
    good: Example | None
    bad: Example | None
    no_bad: str


def explain(id: str, revision: Revision | None = None, examples: Examples | None = None) -> Explanation:
    """Explains the requirement ``id``. ``examples``: the examples of the revision, to read them only once for many calls.

    Raises :class:`KeyError` for an unknown id.
    """
    revision = Revision(DEFAULT_REVISION) if revision is None else revision
    check_instance(revision, Revision, "revision")
    examples = examples or Examples(revision)
    requirement = revision.requirements[id]
    good, bad = examples.of(id)
    if bad is not None and bad.fault is not None:
        refused = bad.fault.refused
    else:
        refused = requirement.breakable and requirement.enforced in ("codec", "machine")
    no_bad = "" if bad is not None else _why_no_bad(requirement)
    return Explanation(requirement, severity_of(requirement), refused, good, bad, no_bad)


def _why_no_bad(requirement: Requirement) -> str:
    if requirement.breakable:
        return "The vectors have no example of a violation."
    if requirement.level == "MAY":
        return "A permission cannot be violated."
    if requirement.enforced == "manual":
        return requirement.reason or ""
    if requirement.enforced == "codec":
        if requirement.is_joined:
            return "Only several frames together can violate it: `hgproto.wire.joined.Joiner` rejects them."
        return "Only the sender's encoder can violate it: received values always fit their fields."
    return "No bytes violate only this requirement."


def explanation_to_json(explanation: Explanation) -> dict[str, Any]:
    """Returns an explanation as JSON data. Bytes are hexadecimal; missing parts are None."""
    requirement = explanation.requirement
    return {
        **requirement._asdict(),
        "places": list(requirement.places),
        "sentence": requirement.sentence,
        "severity": explanation.severity,
        "refused": explanation.refused,
        "good": _example_to_json(explanation.good),
        "bad": _example_to_json(explanation.bad),
        "no_bad": explanation.no_bad or None,
    }


def _example_to_json(example: Example | None) -> dict[str, Any] | None:
    if example is None:
        return None
    steps = [
        {"side": step.side, "wire": None if step.data is None else step.data.hex(), "human": step.human or None}
        for step in example.steps
    ]
    fault = None if example.fault is None else example.fault._asdict()
    return {
        "title": example.title,
        "source": example.source,
        "options": dict(example.options),
        "steps": steps,
        "fault": fault,
    }
