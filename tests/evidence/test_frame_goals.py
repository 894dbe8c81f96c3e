"""Goals that frames reach by themselves."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest

from hgproto import encode_frame, format_frame, parse_frame
from hgproto.evidence import frame_goals
from hgproto.evidence.frame_goals import FrameGoals
from hgproto.reactors.limits import Limits
from hgproto.reactors.session import Lines
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.revision import default_revision
from hgproto.runtime.cbor import encode_item
from hgproto.streams.encodings import Encodings, default_encodings

if TYPE_CHECKING:
    from collections.abc import Callable

CONTINUED = [
    "1 1 stream-begin command-name have-args x",
    r"1 1 0 command-argument continuation \x01\x00\x07\x00kab",
    r"1 1 stream-end command-argument eoa \x01\x00\x00\x00k",
]
"""The rest of a value that looks like an argument with an empty value."""


def reached(lines: list[str]) -> set[tuple[str, str]]:
    """The goals that the frames of one side reach."""
    found: set[tuple[str, str]] = set()
    counter = FrameGoals(lambda kind, name: found.add((kind, name)), default_revision())
    for line in lines:
        assert counter.count(encode_frame(parse_frame(line))) is not None
    return found


def test_what_is_no_frame_is_not_counted() -> None:
    found: set[tuple[str, str]] = set()
    counter = FrameGoals(lambda kind, name: found.add((kind, name)), default_revision())
    assert counter.count(b"\x05\x00\x00\x01\x00\x01\x01\x11he") is None
    assert not found


def test_the_rest_of_a_value_has_no_fields() -> None:
    def found(lines: list[str]) -> set[str]:
        return {name for kind, name in reached(lines) if kind == "edges" and name.startswith("command-argument ")}

    assert found(CONTINUED) == {"command-argument name_length least"}
    # The next argument of the request has fields again, and so has that of the next request with this id.
    assert "command-argument value_length least" in found([*CONTINUED, CONTINUED[-1]])
    again = [*CONTINUED[:2], CONTINUED[0], CONTINUED[-1]]
    assert "command-argument value_length least" in found(again)


EMPTY_VALUE = r"\x01\x00\x00\x00k"
ENCODED = [
    r"1 1 stream-begin stream-settings 0 \x04zlib",
    "1 1 encoded command-name have-args x",
    f"1 1 stream-end|encoded command-argument eoa {EMPTY_VALUE}",
]


def wires(lines: list[str]) -> list[bytes]:
    """The frames of a client with their payloads encoded; a line that begins with ``!`` has them as on the wire."""
    encoded = Lines()
    frames = (encoded.read(f">! {line[1:]}" if line.startswith("!") else f"> {line}")[1] for line in lines)
    return [encode_frame(frame) for frame in frames if frame is not None]


def edges(
    data: list[bytes], *, encodings: Encodings | None = None, limits: Limits | None = None
) -> tuple[set[str], set[str]]:
    """The edges of arguments that frames reach, and the encodings that are not available."""
    found: set[str] = set()
    counter = FrameGoals(lambda _, name: found.add(name), default_revision(), encodings=encodings, limits=limits)
    for frame in data:
        counter.count(frame)
    return {name for name in found if name.startswith("command-argument ") and "_length" in name}, counter.unavailable


BOTH = {"command-argument name_length least", "command-argument value_length least"}


def test_encoded_payloads_are_decoded_by_the_context_of_their_stream() -> None:
    assert edges(wires(ENCODED)) == (BOTH, set())
    # The stream begins again with another context.
    assert edges([*wires(ENCODED[:2]), *wires(ENCODED)]) == (BOTH, set())
    # The second frame of a context cannot be decoded without the first.
    assert edges([wires(ENCODED)[0], wires(ENCODED)[2]]) == (set(), set())


@pytest.mark.parametrize(
    "lines",
    [
        # Without settings, with others, and with damaged ones.
        [f"1 1 stream-begin|encoded command-argument eoa {EMPTY_VALUE}"],
        ["1 1 stream-begin command-name eos x", f"1 1 encoded command-argument eoa {EMPTY_VALUE}"],
        [r"1 1 stream-begin stream-settings 0 \x04none", f"1 1 encoded command-argument eoa {EMPTY_VALUE}"],
        [r"1 1 stream-begin stream-settings 0 \x04zlibx", f"1 1 encoded command-argument eoa {EMPTY_VALUE}"],
        [r"1 1 stream-begin stream-settings 0 \x04", f"1 1 encoded command-argument eoa {EMPTY_VALUE}"],
        # Where the context is damaged, and after that.
        [ENCODED[0], f"!1 1 encoded command-argument eoa {EMPTY_VALUE}"],
        [ENCODED[0], "!1 1 encoded command-name have-args y", ENCODED[2]],
        # After the end of the stream.
        [ENCODED[0], "1 1 encoded|stream-end command-name have-args x", f"!{ENCODED[2]}"],
    ],
)
def test_encoded_bytes_are_no_structure(lines: list[str]) -> None:
    assert edges(wires(lines)) == (set(), set())


def test_an_encoding_that_is_not_installed_is_named() -> None:
    without = Encodings([default_encodings()["identity"]], {"zlib": "pip install"})
    assert edges(wires(ENCODED), encodings=without) == (set(), {"zlib"})


def test_decoding_is_bounded() -> None:
    bomb = zlib.compressobj()
    payload = bomb.compress(b"\x01\x00\x00\x00k" + bytes(1 << 20)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    frames = [wires(ENCODED)[0], encode_frame(codec.make_frame(1, 1, 4, 2, 2, payload))]
    assert edges(frames, limits=Limits(decoded_frame=1 << 20)) == (set(), set())
    # No more contexts than streams may be open.
    settings = [encode_frame(codec.make_frame(1, number, 1, 8, 0, b"\x04zlib")) for number in (3, 1)]
    frames = [*settings, *wires(ENCODED)[1:]]
    assert edges(frames, limits=Limits(open_streams=2)) == (BOTH, set())
    assert edges(frames, limits=Limits(open_streams=1)) == (set(), set())


def test_a_value_is_at_its_most_as_exactly_as_the_limit_of_a_payload_allows() -> None:
    """A plain payload has no room for it, and one that is decoded does."""
    most = "command-argument value_length most"
    for size, count in ((0xFFFF - 5, 0), (0xFFFF - 4, 0), (0xFFFF, 1)):
        argument = b"\x01\x00" + size.to_bytes(2, "little") + b"k" + bytes(size)
        frame = codec.make_frame(1, 1, 4, 2, 2, argument)
        settings = codec.make_frame(1, 1, 1, 8, 0, b"\x08identity")
        assert len(edges([encode_frame(settings), codec.encode_frame(frame, 1 << 20)])[0] & {most}) == count
    plain = codec.make_frame(1, 1, 0, 2, 2, b"\x01\x00\xfa\xffk" + bytes(0xFFFA))
    assert edges([encode_frame(plain)])[0] >= {most}


def test_a_key_is_no_other_key_with_a_dot() -> None:
    """An unknown key that begins like a known one does not count as that."""
    progress = codec.Progress("x", 1, 10, extra={b"label.x": b"\x01"})
    line = format_frame(codec.make_frame(1, 2, 1, codec.FrameType.PROGRESS, 0, codec.encode_progress(progress)))
    assert ("edges", "progress label left out") in reached([line])


def text_frame(number: int) -> bytes:
    """A message of so many items."""
    atoms = (codec.TextAtom("x\n", (), ()),) * number
    payload = codec.encode_text_output(codec.TextOutput(atoms))
    return encode_frame(codec.make_frame(1, 2, 1, codec.FrameType.TEXT_OUTPUT, 0, payload))


def progress_frame(number: int) -> bytes:
    """A progress map of so many items: itself, three known entries, and those of another one."""
    extra = {b"x": encode_item([0] * (number - 9))}
    payload = codec.encode_progress(codec.Progress("x", 0, 10, extra=extra))
    return encode_frame(codec.make_frame(1, 2, 1, codec.FrameType.PROGRESS, 0, payload))


@pytest.mark.parametrize("frame_of", [text_frame, progress_frame])
def test_a_payload_with_too_many_items_is_not_looked_into(
    frame_of: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(number: int) -> set[str]:
        edges: set[str] = set()
        counter = FrameGoals(
            lambda kind, name: edges.add(name) if kind == "edges" else None, default_revision(), limits=limits
        )
        counter.count(frame_of(number))
        return {name for name in edges if " length " not in name and not name.startswith(("request_id", "stream_id"))}

    limits = Limits(payload_items=20)
    assert found(20)
    monkeypatch.setattr(frame_goals, "walk", None)
    assert found(21) == set()
