"""Findings of fuzzing. Each is one file with the bytes, their description, the fault, and the command that replays it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import RemoteProtocolError
from hgproto.fuzz.cases import Case
from hgproto.fuzz.processes import joined_words
from hgproto.fuzz.raw import frames_of
from hgproto.revisions.revision import default_revision
from hgproto.system.stdio import write_whole
from hgproto.wire.human import format_frame

if TYPE_CHECKING:
    from hgproto.fuzz.oracles import Fault, Key

__all__ = ["FuzzFinding", "Saved", "named", "read_causes", "read_finding", "read_saved"]

codec = default_revision().codec
_MOST = codec.MAX_PAYLOAD[1]


def named(key: Key) -> str:
    """Returns the kind of a fault with its requirement or cause."""
    kind, requirement, cause = key
    return f"{kind} {requirement or cause or 'at an unknown place'}"


class FuzzFinding(NamedTuple):
    """A fault of a target, with a minimized case.

    ``case``: the bytes that show it. ``fault``: its description. ``seed``: that of the campaign. ``number``: the number of the case
    in the campaign, from 1. ``seconds``: the time until it was found. ``original_bytes``: the number of bytes before minimizing.
    ``command``: the arguments of the campaign that a replay needs. ``id``: identifies the finding, and stays the same when it is
    minimized; empty to derive it from the bytes. ``shown_again``: True if the case showed the fault again, False if it did not,
    None if unknown. ``new_process``: True if the case was run again in a new process, without any case before it.
    """

    case: Case
    fault: Fault
    seed: int
    number: int
    seconds: float
    original_bytes: int
    command: tuple[str, ...]
    id: str = ""
    shown_again: bool | None = None
    new_process: bool = False

    @property
    def again(self) -> str:
        """A sentence about running it again: the result and, for a campaign without a command, the call that runs it again."""
        # Without a command, the target is an object of the user.
        call = "" if self.command else _CALL
        if self.shown_again is None:
            return f"it is not known whether it shows again; no new process has run it{call}"
        if self.new_process:
            return _AGAIN[self.shown_again] + "in a new process" + ("" if self.shown_again else _DEPENDS) + call
        return f"{_AGAIN[self.shown_again]}in the same process; {_SAME[bool(self.command)]}{call}"

    @property
    def not_minimized(self) -> str | None:
        """The reason why its case is not minimized; None if it is minimized."""
        if self.case.sizes and self.fault.kind == "growth":
            return "the memory of a smaller case cannot be distinguished from that of the process"
        return None if self.shown_again else "only a finding that shows again is minimized"

    @property
    def digest(self) -> str:
        """The id. For a finding that is not minimized, it is a digest of the target, the bytes, and the fault."""
        parts = [self.case.data.hex(), str(self.case.probe), *self.fault.key, *self.command]
        return self.id or hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:12]

    @property
    def name(self) -> str:
        """The name of its file, without directory."""
        words = [self.fault.kind, self.fault.rule or self.fault.cause or "any"]
        text = re.sub(r"[^a-z0-9.]+", "-", " ".join(words).lower()).strip("-")[:80]
        return f"{text}-{self.digest}.json"

    def replay(self, path: str) -> str | None:
        """Returns the command that replays it; None if the command of the campaign is not known."""
        if not self.command:
            return None
        # A path that begins with a dash would be read as an option.
        path = os.path.join(os.curdir, path) if path.startswith("-") else path
        return joined_words(["hgproto", "fuzz", *self.command, "--replay", path])

    def to_json(self, path: str) -> dict[str, Any]:
        """Returns the content of its file as JSON data."""
        requirement = default_revision().requirements.get(self.fault.rule)
        return {
            "kind": self.fault.kind,
            "requirement": self.fault.rule or None,
            "sentence": None if requirement is None else requirement.sentence,
            "cause": self.fault.cause,
            "expected": self.fault.expected,
            "found": self.fault.found,
            "bytes": self.case.data.hex(),
            "human": human(self.case.data),
            "probe": self.case.probe,
            "waits": list(self.case.waits),
            "sizes": list(self.case.sizes),
            "tail": self.case.tail,
            "origin": self.case.origin,
            "original_bytes": self.original_bytes,
            "shown_again": self.shown_again,
            "new_process": self.new_process,
            "again": self.again,
            "not_minimized": self.not_minimized,
            "id": self.digest,
            "seed": self.seed,
            "case": self.number,
            "seconds": round(self.seconds, 3),
            "revision": codec.REVISION,
            "schema": codec.DIGEST,
            "replay": self.replay(path),
        }

    def text(self, path: str) -> str:
        """Returns the text of its file at a path."""
        return json.dumps(self.to_json(path), indent=2) + "\n"

    def write(self, directory: str) -> str:
        """Writes its file completely or not at all, and returns the path. Raises :class:`OSError`.

        Different findings have different names. A file of the same finding is kept if it showed again and this one did not, or else
        if it has fewer bytes.
        """
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, self.name)
        with contextlib.suppress(OSError, ValueError):
            saved = read_saved(path)
            if _rank(saved.shown_again, saved.case) < _rank(self.shown_again, self.case):
                return path
        write_whole(path, self.text(path).encode("utf-8", "backslashreplace"))
        return path


_AGAIN = {True: "it showed again ", False: "it did not show again "}
_SAME = {
    True: "a new one was not tried; use --start to make it possible",
    False: "a new one was not tried; add a method renew() to the target to make it possible",
}
_CALL = "; oracle.judge(finding.case, hgproto.fuzz.targets.run_case(target, finding.case)) runs it again"
_DEPENDS = ", so it may depend on the cases before it, or on time"


def _rank(shown_again: bool | None, case: Case) -> tuple[bool, int]:
    """Sorts files of one finding: those that showed again come first, then the smaller ones."""
    return not shown_again, len(case.data)


class Saved(NamedTuple):
    """The content of a finding's file. ``key``: its cause. ``digest``: that of the schema. ``shown_again``: as in the finding."""

    case: Case
    key: Key
    digest: str
    shown_again: bool | None


def human(data: bytes) -> list[str]:
    """Returns bytes in human form, one line per frame. Bytes that are not a whole frame are hexadecimal after ``#``."""
    lines = []
    for frame in frames_of(data):
        try:
            lines.append(format_frame(codec.decode_frame(frame, 0, _MOST)[0]))
        except RemoteProtocolError:
            lines.append(f"# {frame.hex()}")
    return lines


def read_causes(path: str) -> set[Key]:
    """Reads the causes of a finding's file, or of all such files of a directory.

    Raises :class:`ValueError` for a file that is not a finding, and :class:`OSError`.
    """
    if not os.path.isdir(path):
        return {read_saved(path).key}
    names = sorted(name for name in os.listdir(path) if name.endswith(".json"))
    return {read_saved(os.path.join(path, name)).key for name in names}


def read_finding(path: str) -> tuple[Case, str]:
    """Reads the case of a finding's file, and the schema's digest. Raises as :func:`read_saved`."""
    saved = read_saved(path)
    return saved.case, saved.digest


def read_saved(path: str) -> Saved:
    """Reads a finding's file. Raises :class:`ValueError` for a file that is not a finding, and :class:`OSError`."""
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read())
        data = bytes.fromhex(value["bytes"])
        waits, sizes = (value.get(name, []) for name in ("waits", "sizes"))
        tail = value.get("tail", 0)
        for places in (waits, sizes):
            if not isinstance(places, list) or not all(type(place) is int for place in places):
                raise ValueError
            if places != sorted({*places}) or not all(0 <= place <= len(data) for place in places):
                raise ValueError
        if not (type(tail) is int and 0 <= tail <= len(data)):
            raise ValueError
        if not all(isinstance(value[name], str) for name in ("origin", "kind", "cause", "schema")):
            raise ValueError
        if not (value["requirement"] is None or isinstance(value["requirement"], str)):
            raise ValueError
        case = Case(data, value["origin"], value["probe"], tuple(waits), tuple(sizes), tail)
        if case.probe is not None and not (type(case.probe) is int and 0 <= case.probe < 1 << 16):
            raise ValueError
        shown_again = value.get("shown_again")
        if not (shown_again is None or isinstance(shown_again, bool)):
            raise ValueError
        key = value["kind"], value["requirement"] or "", value["cause"]
        return Saved(case, key, value["schema"], shown_again)
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ValueError(f"{path}: expected a finding of hgproto fuzz") from None
