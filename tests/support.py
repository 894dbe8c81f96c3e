"""What many tests use: frames and payloads of every kind, and how each codec judges bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import strategies as st

from hgproto.errors import ProtocolError, RemoteProtocolError
from hgproto.evidence.prove import same_value
from hgproto.judging.validation import SessionValidator
from hgproto.reactors.limits import Limits
from hgproto.revisions.framing_0002 import codec, structs
from hgproto.runtime.cbor import encode_item
from hgproto.runtime.frame import Frame, Record, parts_of
from hgproto.streams.encodings import default_encodings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hgproto.judging.finding import Finding, Role

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "schema"
RUFF = shutil.which("ruff") or shutil.which("ruff", path=str(Path(sys.executable).parent))


def schema_with_lines(directory: Path, *, sessions: bool = False) -> Path:
    """A schema whose limit on items is called ``lines``: 2 unless told otherwise, 9 at most.

    ``sessions``: it is framing-0002 but for that. Otherwise it has no machines.
    """
    lines = "  lines: {default: 2, maximum: 9, unit: lines, doc: Lines., reason: A page.}\n"
    if sessions:
        shutil.copy(SCHEMA / "framing.yaml", directory)
        text = (SCHEMA / "framing-0002.yaml").read_text(encoding="utf-8")
        limit = text[text.index("  payload-items:\n") : text.index("structures:\n")]
        changes = [
            (limit, lines),
            ("limit: payload-items", "limit: lines"),
            ("revision: framing-0002", "revision: lines-1"),
        ]
    else:
        text = (ROOT / "tests" / "data" / "alien.yaml").read_text(encoding="utf-8")
        head = "    doc: Fields, and then lines to the end.\n"
        changes = [
            (
                "limits:\n",
                f"limits:\n{lines}  idle: {{default: 1, maximum: 9, unit: x, doc: No limit., reason: None.}}\n",
            ),
            (f"{head}    rules: {{", f"{head}    limit: lines\n    rules: {{limit: ledger.whole, "),
        ]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = directory / "lines.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def flat(message: str) -> str:
    """Returns a message in one line, as it was before it was wrapped."""
    return " ".join(message.split())


def formatted(code: str) -> str:
    """The code as the formatter has it."""
    if RUFF is None:
        pytest.skip("ruff is not installed")
    command = [RUFF, "format", "--isolated", "--line-length", "120", "-"]
    run = subprocess.run(command, input=code, capture_output=True, text=True, check=True, encoding="utf-8")
    return run.stdout


@contextmanager
def without_privileges() -> Iterator[None]:
    """Takes the right of root to look into every directory, as long as this context lasts."""
    root = not os.geteuid()
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


VECTORS = [
    vector for file in sorted((SCHEMA / "vectors").glob("*.json")) for vector in json.loads(file.read_text())["vectors"]
]
VALID = [vector for vector in VECTORS if vector["result"] == "valid"]
INVALID = [vector for vector in VECTORS if vector["result"] == "invalid"]
GOLDEN = [
    session
    for file in sorted((SCHEMA / "vectors" / "sessions").glob("*.json"))
    for session in json.loads(file.read_text())["sessions"]
]

ascii_text = st.text(st.characters(codec="ascii"), max_size=20)
utf8_text = st.text(st.characters(codec="utf-8"), max_size=20)

arguments = st.builds(codec.Argument, ascii_text.filter(bool), st.binary(max_size=40))
argument_starts = st.builds(
    lambda name, value, more: codec.ArgumentStart(len(value) + more, name, value),
    ascii_text.filter(bool),
    st.binary(max_size=40),
    st.integers(0, 0xFFFF - 40),
)
argument_rests = st.builds(codec.ArgumentRest, st.binary(max_size=40))
text_atoms = st.builds(
    codec.TextAtom,
    utf8_text,
    st.lists(ascii_text, max_size=3).map(tuple),
    st.lists(utf8_text, max_size=3).map(tuple),
)
text_outputs = st.builds(codec.TextOutput, st.lists(text_atoms, max_size=3).map(tuple))
cbor_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 64), (1 << 64) - 1) | st.binary(max_size=8) | utf8_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.binary(max_size=4) | utf8_text, inner, max_size=3),
    max_leaves=6,
)
progresses = st.builds(
    codec.Progress,
    utf8_text,
    st.integers(-1, (1 << 64) - 1),
    st.integers(0, (1 << 64) - 1),
    st.none() | utf8_text,
    st.none() | utf8_text,
    st.dictionaries(
        st.binary(max_size=6).filter(lambda key: key not in (b"topic", b"pos", b"total", b"label", b"item")),
        cbor_values.map(encode_item),
        max_size=2,
    ),
)
settings_payloads = st.builds(codec.StreamSettings, ascii_text.filter(bool), st.binary(max_size=20))

RECORDS: dict[str, st.SearchStrategy[Any]] = {
    "argument_header": st.builds(codec.ArgumentHeader, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)),
    "argument": arguments,
    "argument_start": argument_starts,
    "argument_rest": argument_rests,
    "text_atom": text_atoms,
    "text_output": text_outputs,
    "progress": progresses,
    "stream_settings": settings_payloads,
}
"""A strategy for the values of each structure, by the name that it has in Python."""


def encoded(name: str) -> st.SearchStrategy[bytes]:
    """The bytes of values of a structure."""
    return RECORDS[name].map(lambda value: bytes(getattr(codec, f"encode_{name}")(value)))


payloads = st.one_of(st.binary(max_size=60), *map(encoded, RECORDS))
frames = st.builds(
    codec.make_frame,
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFF),
    st.integers(0, 0xFF),
    st.integers(0, 0xF),
    st.integers(0, 0xF),
    payloads,
)
"""Any frame at all: every header value, payloads that fit their type and payloads that do not."""


def cuts(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """Ways to cut bytes into chunks, empty ones among them."""
    places = st.lists(st.integers(0, len(data)), max_size=8).map(sorted)
    return places.map(lambda ps: [data[a:b] for a, b in zip([0, *ps], [*ps, len(data)], strict=True)])


@st.composite
def damaged(draw: st.DrawFn, payloads: st.SearchStrategy[bytes]) -> bytes:
    """Payloads, most of them with other bytes in some places, cut, or with bytes added."""
    payload = bytearray(draw(payloads))
    bytes_ = st.sampled_from(b"\x00\x01\x02\xff") | st.integers(0, 255)
    for _ in range(draw(st.integers(0, 2)) if payload else 0):
        payload[draw(st.integers(0, len(payload) - 1))] = draw(bytes_)
    more = draw(st.just(b"") | st.lists(bytes_, max_size=12).map(bytes))
    return bytes(payload[: draw(st.just(len(payload)) | st.integers(0, len(payload)))]) + more


def judged_payload(read: Callable[..., Any], payload: bytes, most: int) -> Any:
    """What a codec makes of a payload with at most so many items: its value, or the refusal."""
    try:
        return read(payload, max_items=most)
    except RemoteProtocolError as error:
        return Refusal.of(error)


class Refusal(NamedTuple):
    """Why a codec refuses bytes or a value."""

    requirement: str
    offset: int | None
    field: str
    expected: str
    found: str

    @classmethod
    def of(cls, error: ProtocolError) -> Refusal:
        return cls(error.requirement, error.offset, error.field, error.expected, error.found)


def fast_judgement(data: bytes, continued: bool = False) -> Any:
    """What the codec makes of one frame: its value, or the refusal."""
    try:
        frame, end = codec.decode_frame(data)
        codec.check_header(frame)
        try:
            value = codec.decode_payload(frame, continued)
        except RemoteProtocolError as error:
            raise error.moved(codec.HEADER_BYTES) from None
    except RemoteProtocolError as error:
        return Refusal.of(error)
    return frame, end, value


def struct_judgement(data: bytes, continued: bool = False) -> Any:
    """What the Structs make of one frame, in the same form."""
    try:
        container = structs.checked_frame.parse(data, continued=continued)
    except RemoteProtocolError as error:
        return Refusal.of(error)
    frame = Frame(**{name: container[name] for name in Frame.shown})
    value = container.payload if container.value is None else container.value
    return frame, codec.HEADER_BYTES + container.length, value


def agree(fast: Any, slow: Any) -> bool:
    """True if two judgements are the same: value, or refusal."""
    if isinstance(fast, Refusal) or isinstance(slow, Refusal):
        return bool(fast == slow)
    return fast[:2] == slow[:2] and same_value(fast[2], slow[2])


def options_of(golden: dict[str, Any]) -> dict[str, Any]:
    """What reactors that play a golden session are made with."""
    options = dict(golden.get("options", {}))
    limits = options.pop("limits", {})
    return options | {"limits": Limits(**{name.replace("-", "_"): value for name, value in limits.items()})}


def skip_without_encodings(golden: dict[str, Any]) -> None:
    """Skips a test for which an encoding is not installed."""
    if "zstd-8mb" in json.dumps(golden) and "zstd-8mb" not in default_encodings():
        pytest.skip("Zstandard is not installed")


def judged(golden: dict[str, Any]) -> list[Finding]:
    """The findings of a golden session."""
    skip_without_encodings(golden)
    options = options_of(golden)
    options.pop("streaming", None)
    validator = SessionValidator(**options)
    findings: list[Finding] = []
    for step in golden["steps"]:
        role: Role = "client" if step["line"][0] == ">" else "server"
        findings += validator.feed(role, bytes.fromhex(step["wire"])) if "wire" in step else validator.close(role)
    return findings


def plain(value: Any) -> Any:
    """A record without its class, for comparisons with what a Struct gives."""
    return {name: plain(getattr(value, name)) for name in parts_of(value)} if isinstance(value, Record) else value


def inventory(site: Path) -> dict[tuple[str, str], str]:
    """The address of each part of a schema in the inventory of a site, by kind and name."""
    data = (site / "objects.inv").read_bytes()
    lines = zlib.decompress(data.split(b"\n", 4)[4]).decode().splitlines()
    found = {}
    for line in lines:
        name, kind, _, address, _ = line.split(" ", 4)
        if kind.startswith("hgproto:"):
            found[kind.removeprefix("hgproto:"), name] = address.replace("$", name)
    return found
