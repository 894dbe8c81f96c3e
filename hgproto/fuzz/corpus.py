"""Corpora: seeds from the vectors and boundaries, a dictionary for other fuzzers, and minimization of a corpus."""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING

from hgproto.evidence.coverage import KINDS, Coverage
from hgproto.fuzz.cases import types_of
from hgproto.fuzz.echo import heard
from hgproto.fuzz.raw import frames_of, has_header, number_of
from hgproto.judging.finding import other_role
from hgproto.judging.validation import Validator
from hgproto.language.load import schema_directory
from hgproto.revisions.revision import default_revision
from hgproto.samples import boundaries
from hgproto.streams.encodings import default_encodings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hgproto.judging.finding import Role

__all__ = ["dictionary", "features", "minimal", "seeds"]

_REVISION = default_revision()
codec = _REVISION.codec
_ROLES = {"client": ">", "server": "<"}


def seeds(side: Role) -> dict[str, bytes]:
    """Returns the bytes of a side in the vectors and sessions, and valid frames at boundaries, by a name for a file.

    ``side``: ``client`` or ``server``. Vectors of single frames are in both.
    """
    found: dict[str, bytes] = {}
    home = schema_directory() / "vectors"
    for path in sorted(home.rglob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["revision"] != codec.REVISION:
            continue
        for one in content.get("vectors", ()):
            found[_named(one["id"])] = bytes.fromhex(one["wire"])
        for one in content.get("sessions", ()):
            steps = (step for step in one["steps"] if step["line"].startswith(_ROLES[side]))
            found[f"session-{_named(one['id'])}"] = b"".join(bytes.fromhex(step.get("wire") or "") for step in steps)
    for name in types_of(side):
        for number, boundary in enumerate(boundaries(name)):
            if len(boundary.data) < _SMALL and not boundary.broken:
                found[f"boundary-{name}-{number:03}"] = boundary.data
    return {name: data for name, data in found.items() if data}


_SMALL = 4096
"""Boundaries of this size, in bytes, and larger ones are not seeds, because they slow fuzzers down."""


def _named(text: str) -> str:
    return text.replace("/", "-")


def dictionary() -> str:
    """Returns the words of the protocol as a dictionary for AFL and libFuzzer."""
    words: dict[str, bytes] = {}
    for name, code in codec.CODES.items():
        for flags in range(16):
            if not flags & ~sum(codec.FLAG_NAMES[code]):
                words[f"type {name} flags {flags}"] = bytes([code << 4 | flags])
        for parity in (1, 2):
            words[f"header {name} on {parity}"] = codec.encode_header(
                codec.make_frame(1, parity, 1, code, max(codec.FLAG_NAMES[code], default=0), b"")
            )
    for mask, name in codec.STREAM_FLAG_NAMES.items():
        words[f"stream flag {name}"] = bytes([mask])
    for limit, (default, _) in codec.LIMITS.items():
        for number in (default - 1, default, default + 1):
            if number < 1 << 24:
                words[f"{limit} {number}"] = number.to_bytes(3, "little")
    for profile in (*default_encodings(), *default_encodings().missing):
        words[f"profile {profile}"] = _REVISION.encode_settings(profile, b"")
    for layout in codec.LAYOUTS.values():
        for entry in () if layout.is_sequence else layout.entries:
            words[f"key {entry.name}"] = bytes([0x40 | len(entry.name)]) + entry.name.encode()
    words |= {"zlib head": b"\x78\x9c", "zlib flush": b"\0\0\xff\xff", "zstd magic": b"\x28\xb5\x2f\xfd"}
    words |= {"format": b"%s", "percent": b"%%"}
    lines = [f"# The words of {codec.REVISION}, for AFL (-x) and libFuzzer (-dict=).", f"# Schema: {codec.DIGEST}"]
    for name, data in words.items():
        text = "".join(f"\\x{byte:02x}" for byte in data)
        lines.append(f'{name.replace(" ", "_").replace("-", "_")}="{text}"')
    return "\n".join(lines) + "\n"


def features(data: bytes, side: Role) -> frozenset[str]:
    """Returns the features that bytes of a side exercise: frames, findings, events, and their order."""
    seen: set[str] = set()
    validator = Validator(side)
    for finding in chain(validator.feed(data), validator.close()):
        seen.add(f"finding {finding.id} {finding.path.rpartition('.')[2]}")
    events, error, _ = heard(other_role(side), data)
    seen.update(f"event {event['event']}" for event in events)
    if error is not None:
        seen.add(f"error {error.requirement}")
    before = "start"
    for frame in filter(has_header, frames_of(data)):
        kind = f"{number_of(frame, 'type'):x}{number_of(frame, 'flags'):x}"
        seen |= {
            f"frame {kind} {number_of(frame, 'stream_flags'):02x}",
            f"after {before} {kind}",
            f"length {number_of(frame, 'length').bit_length()} {kind}",
        }
        before = kind
    return frozenset(seen)


def minimal(corpus: Mapping[str, bytes], side: Role) -> Iterator[str]:
    """Yields the names of a small subset of a corpus that exercises the same features, smallest files first.

    ``hgproto coverage`` counts the same goals for the subset as for the whole corpus.
    """
    seen: set[str] = set()
    # Coverage either knows the side that sends, or derives it from the first stream.
    counted = [(Coverage(), role) for role in (side, None)]
    reached = 0
    for name, data in sorted(corpus.items(), key=lambda item: (len(item[1]), item[0])):
        more = features(data, side) - seen
        for coverage, role in counted:
            coverage.data(data, role)
        before, reached = reached, sum(coverage.reached(kind) for coverage, _ in counted for kind in KINDS)
        if more or reached > before:
            seen |= more
            yield name
