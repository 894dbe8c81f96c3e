"""Findings of fuzzing: each one file with the octets, what they are, what is wrong, and the one command that shows it again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from hgproto.errors import RemoteProtocolError
from hgproto.framing_0002 import codec
from hgproto.framing_0002.requirements import REQUIREMENTS
from hgproto.fuzz.cases import Case
from hgproto.fuzz.processes import joined_words
from hgproto.human import format_frame
from hgproto.session import frames_of
from hgproto.stdio import write_whole

if TYPE_CHECKING:
    from hgproto.fuzz.oracles import Fault, Key

__all__ = ["FuzzFinding", "read_causes", "read_finding"]

_MOST = codec.LIMITS["max-payload"][1]


class FuzzFinding(NamedTuple):
    """A fault of a target, minimised.

    ``case``: the octets that show it. ``origin``: what they were before. ``fault``: what is wrong. ``seed``, ``number``: of
    the campaign, and which of its cases it was. ``seconds``: after how long it was found. ``original_octets``: how many there
    were before minimising. ``command``: of the campaign, without what only a campaign needs. ``id``: tells it from other
    findings, and stays the same when it is minimised; empty for that of the octets as they are.
    """

    case: Case
    fault: Fault
    seed: int
    number: int
    seconds: float
    original_octets: int
    command: tuple[str, ...]
    id: str = ""

    @property
    def digest(self) -> str:
        """The id, or what it is for a finding that is not minimised: told by the target, the octets, and the fault."""
        parts = [self.case.octets.hex(), str(self.case.probe), *self.fault.key, *self.command]
        return self.id or hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:12]

    @property
    def name(self) -> str:
        """The name of its file, without directory."""
        words = [self.fault.kind, self.fault.rule or self.fault.cause or "any"]
        text = re.sub(r"[^a-z0-9.]+", "-", " ".join(words).lower()).strip("-")[:80]
        return f"{text}-{self.digest}.json"

    def replay(self, path: str) -> str:
        """The command that shows it again."""
        # A path that begins with a dash would be read as an option.
        path = os.path.join(os.curdir, path) if path.startswith("-") else path
        return joined_words(["hgproto", "fuzz", *self.command, "--replay", path])

    def to_json(self, path: str) -> dict[str, Any]:
        """What its file has."""
        requirement = REQUIREMENTS.get(self.fault.rule)
        return {
            "kind": self.fault.kind,
            "requirement": self.fault.rule or None,
            "sentence": None if requirement is None else requirement.sentence,
            "cause": self.fault.cause,
            "expected": self.fault.expected,
            "found": self.fault.found,
            "octets": self.case.octets.hex(),
            "human": human(self.case.octets),
            "probe": self.case.probe,
            "waits": list(self.case.waits),
            "sizes": list(self.case.sizes),
            "origin": self.case.origin,
            "original_octets": self.original_octets,
            "id": self.digest,
            "seed": self.seed,
            "case": self.number,
            "seconds": round(self.seconds, 3),
            "revision": codec.REVISION,
            "schema": codec.DIGEST,
            "replay": self.replay(path),
        }

    def text(self, path: str) -> str:
        """The text of its file at a path."""
        return json.dumps(self.to_json(path), indent=2) + "\n"

    def write(self, directory: str) -> str:
        """Writes its file whole or not at all; gives the path. Raises :class:`OSError`.

        Findings that differ have different names. Of one finding, the file with the fewest octets is kept.
        """
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, self.name)
        with contextlib.suppress(OSError, ValueError):
            if len(read_finding(path)[0].octets) < len(self.case.octets):
                return path
        write_whole(path, self.text(path).encode("utf-8", "backslashreplace"))
        return path


def human(octets: bytes) -> list[str]:
    """Octets in human form, a line a frame; what is no whole frame in hexadecimal after ``#``."""
    lines = []
    for frame in frames_of(octets):
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
        return {_read(path)[1]}
    names = sorted(name for name in os.listdir(path) if name.endswith(".json"))
    return {_read(os.path.join(path, name))[1] for name in names}


def read_finding(path: str) -> tuple[Case, str]:
    """The case of a finding's file, and the schema's digest. Raises :class:`ValueError` for what is none, :class:`OSError`."""
    case, _, digest = _read(path)
    return case, digest


def _read(path: str) -> tuple[Case, Key, str]:
    """The case of a finding's file, its cause, and the schema's digest."""
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read())
        octets = bytes.fromhex(value["octets"])
        waits, sizes = (tuple(int(one) for one in value.get(name, ())) for name in ("waits", "sizes"))
        for places in (waits, sizes):
            if [*places] != sorted({*places}) or not all(0 <= place <= len(octets) for place in places):
                raise ValueError
        case = Case(octets, str(value["origin"]), value["probe"], waits, sizes)
        if case.probe is not None and not (type(case.probe) is int and 0 <= case.probe < 1 << 16):
            raise ValueError
        return case, (str(value["kind"]), str(value["requirement"] or ""), str(value["cause"])), str(value["schema"])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ValueError(f"{path}: this is no finding of hgproto fuzz") from None
