"""Content encodings: contexts, limits, and payloads that decoders reject."""

from __future__ import annotations

import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT, SCHEMA, cuts

from hgproto.errors import DecodingError, EncodingError, LocalProtocolError, RemoteProtocolError
from hgproto.language import load
from hgproto.reactors.client import Client as TypedClient
from hgproto.reactors.server import Server as TypedServer
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.framing_0002.build import stream_settings
from hgproto.revisions.revision import default_revision
from hgproto.streams import encodings
from hgproto.streams.encodings import Encodings, Profile, default_encodings, zlib_profile, zstd_profile, zstd_window
from hgproto.streams.input_stream import InputStream
from hgproto.streams.output_stream import OutputStream

if TYPE_CHECKING:
    from hgproto.runtime.frame import Frame

# Tests look at events by the attributes that they expect, without narrowing each of them first.
Client: Any = TypedClient
Server: Any = TypedServer

HAS_ZSTD = "zstd-8mb" in default_encodings()
needs_zstd = pytest.mark.skipif(not HAS_ZSTD, reason="Zstandard is not installed")
PROFILES = [default_encodings()[name] for name in default_encodings()]
COMPRESSING = [profile for profile in PROFILES if profile.name != "identity"]
every_profile = pytest.mark.parametrize("profile", PROFILES, ids=repr)
every_compressing = pytest.mark.parametrize("profile", COMPRESSING, ids=repr)
LIMIT = 1 << 20
BOMB_BYTES = 1 << 30
BOUND_BYTES = 32 << 20
"""What decoding a bomb may cost: a window of 8 MiB, the decoded frame of 1 MiB, and room for how memory is handed out."""


ANSWERS = {"undecodable", "too-large", "after-end", "truncated", "wide-window"}


def refusal(profile: Profile, *payloads: bytes, limit: int = LIMIT, end: bool = False) -> str:
    """The reason for which the last of some payloads is refused, or the end after them."""
    decoder = profile.decoder()
    *before, last = payloads
    for payload in before:
        decoder.decode(payload, limit)
    with pytest.raises(DecodingError) as error:
        decoder.decode(last, limit)
        if end:
            decoder.finish()
            pytest.fail("nothing was refused")
    return error.value.answer


def encoded(profile: Profile, *parts: bytes, finish: bool = True) -> list[bytes]:
    """Each part encoded and flushed."""
    encoder = profile.encoder()
    made = [encoder.encode(part) + encoder.flush() for part in parts]
    return [*made, encoder.finish()] if finish else made


@pytest.mark.requirement("encoding.decodable")
@every_profile
@given(data=st.data())
def test_what_was_taken_is_given_after_each_flush(profile: Profile, data: st.DataObject) -> None:
    raw = data.draw(st.binary(max_size=2000) | st.integers(0, 5000).map(lambda size: b"ab" * size))
    parts = data.draw(cuts(raw))
    encoder, decoder = profile.encoder(), profile.decoder()
    for part in parts:
        assert decoder.decode(encoder.encode(part) + encoder.flush(), LIMIT) == part
    assert decoder.decode(encoder.encode(b"end") + encoder.finish(), LIMIT) == b"end"
    decoder.finish()


@every_profile
@given(data=st.data())
def test_payloads_may_be_cut_anywhere(profile: Profile, data: st.DataObject) -> None:
    raw = data.draw(st.binary(max_size=500))
    wire = b"".join(encoded(profile, raw))
    decoder = profile.decoder()
    assert b"".join(decoder.decode(part, LIMIT) for part in data.draw(cuts(wire))) == raw
    decoder.finish()


@every_compressing
def test_flushing_keeps_the_context(profile: Profile) -> None:
    first, second, _ = encoded(profile, bytes(range(256)), bytes(range(256)))
    assert len(second) < len(first) / 4


@needs_zstd
@given(parts=st.lists(st.binary(max_size=300), max_size=5))
def test_taking_and_flushing_at_once_is_both(parts: list[bytes]) -> None:
    one_call, two_calls = zstd_profile().encoder(), zstd_profile().encoder()
    decoder = zstd_profile().decoder()
    for part in parts:
        payload = one_call.encode_flushed(part)  # type: ignore[attr-defined]
        assert payload == two_calls.encode(part) + two_calls.flush()
        assert decoder.decode(payload, LIMIT) == part


@pytest.mark.requirement("encoding.decoded-limit")
@every_profile
@pytest.mark.parametrize("size", [1, 1000, 1 << 17])
def test_the_limit_is_exact(profile: Profile, size: int) -> None:
    (payload,) = encoded(profile, b"a" * size, finish=False)
    for limit in (size, size + 1):
        assert profile.decoder().decode(payload, limit) == b"a" * size
    assert refusal(profile, payload, limit=size - 1) == "too-large"


@pytest.mark.requirement("encoding.decodable", "encoding.nothing-after-end", "encoding.complete-at-end")
@every_compressing
def test_what_is_refused(profile: Profile) -> None:
    payload, end = encoded(profile, b"payload")
    assert refusal(profile, b"no compressed stream") == "undecodable"
    assert refusal(profile, payload + end + b"!") == "after-end"
    assert refusal(profile, payload + end, b"!") == "after-end"
    assert refusal(profile, payload, end=True) == "truncated"
    assert refusal(profile, payload[:1], end=True) == "truncated"


@every_profile
def test_empty_payloads(profile: Profile) -> None:
    decoder = profile.decoder()
    assert decoder.decode(b"", LIMIT) == b""
    decoder.finish()
    decoder = profile.decoder()
    assert decoder.decode(b"".join(encoded(profile, b"x")), LIMIT) == b"x"
    assert decoder.decode(b"", LIMIT) == b""
    decoder.finish()


@every_profile
@given(payloads=st.lists(st.binary(max_size=80), max_size=4), start=st.booleans())
def test_any_bytes_are_decoded_or_refused(profile: Profile, payloads: list[bytes], start: bool) -> None:
    decoder = profile.decoder()
    try:
        if start:
            decoder.decode(encoded(profile, b"good")[0], 100)
        for payload in payloads:
            assert len(decoder.decode(payload, 100)) <= 100
        decoder.finish()
    except DecodingError as error:
        assert error.answer in ANSWERS


# Windows


@pytest.mark.requirement("encoding.window")
@needs_zstd
def test_a_window_over_eight_mebibytes() -> None:
    zstd: Any = encodings._zstd()
    for log, wanted in ((23, None), (24, "wide-window"), (27, "wide-window")):
        compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: log})
        payload = compressor.compress(b"payload") + compressor.flush(compressor.FLUSH_BLOCK)
        assert zstd_window(payload) == 1 << log
        if wanted is None:
            assert zstd_profile().decoder().decode(payload, LIMIT) == b"payload"
        else:
            assert refusal(zstd_profile(), payload) == wanted
            assert refusal(zstd_profile(), payload[:5], payload[5:]) == wanted


@pytest.mark.requirement("encoding.window")
@needs_zstd
@pytest.mark.parametrize("level", [1, 3, 19, 20, 22])
def test_every_level_stays_within_the_window(level: int) -> None:
    profile = zstd_profile(level)
    payload, _ = encoded(profile, b"payload")
    assert 0 < zstd_window(payload) <= 1 << 23
    assert profile.decoder().decode(payload, LIMIT) == b"payload"


@pytest.mark.parametrize(
    ("head", "window"),
    [
        ("28b52ffd 00 58", 1 << 21),
        ("28b52ffd 00 59", (1 << 21) + (1 << 18)),
        ("28b52ffd 20 05", 5),
        ("28b52ffd 60 0001", 256 + 256),
        ("28b52ffd a0 00000001", 1 << 24),
        ("28b52ffd a1 07 00000001", 1 << 24),
        ("28b52ffd e0 0000000000010000", 1 << 40),
        ("28b52ffd", 0),
        ("00000000 00 58", 0),
    ],
)
def test_the_window_of_a_header(head: str, window: int) -> None:
    assert zstd_window(bytes.fromhex(head)) == window


# Bombs


def bomb(name: str, size: int) -> bytes:
    """Few bytes that decode to many."""
    if name == "zlib":
        context: Any = zlib.compressobj()
    else:
        zstd: Any = encodings._zstd()
        context = zstd.ZstdCompressor()
    piece = bytes(1 << 20)
    return b"".join(context.compress(piece) for _ in range(size >> 20)) + bytes(context.flush())


PEAK = """
import sys
from pathlib import Path
from hgproto.streams.encodings import default_encodings
from hgproto.errors import DecodingError
wire, decode = open(sys.argv[1], "rb").read(), sys.argv[3]
decoder = default_encodings()[sys.argv[2]].decoder()

def peak():
    # Not getrusage, whose mark a process inherits from the one that started it.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

before = peak()
try:
    decoder.decode(wire, 1 << 40 if decode == "naive" else 1 << 20)
except DecodingError as error:
    print(error.answer)
print(peak() - before)
"""


def cost(name: str, wire: bytes, how: str, directory: Any) -> tuple[list[str], int]:
    """What is refused, and the bytes that the process grew by."""
    file = directory / "bomb"
    file.write_bytes(wire)
    command = [sys.executable, "-c", PEAK, str(file), name, how]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    *refused, grown = run.stdout.split()
    return refused, int(grown)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@every_compressing
def test_a_bomb_costs_bounded_memory(profile: Profile, tmp_path: Any) -> None:
    wire = bomb(profile.name, BOMB_BYTES)
    assert len(wire) < (1 << 21 if profile.name == "zlib" else 1 << 17)
    refused, grown = cost(profile.name, wire, "bounded", tmp_path)
    assert refused == ["too-large"]
    assert grown < BOUND_BYTES
    # A decoder without a bound breaks it with a bomb of a sixteenth.
    refused, grown = cost(profile.name, bomb(profile.name, BOMB_BYTES >> 4), "naive", tmp_path)
    assert refused == []
    assert grown > BOUND_BYTES


@pytest.mark.requirement("encoding.decoded-limit", "reactor.errored")
@every_compressing
def test_a_bomb_ends_the_connection(profile: Profile) -> None:
    server = Server()
    settings, _ = OutputStream(1, profile).send(codec.make_frame(1, 1, 0, 1, 1, b"x"))
    server.receive_frame(settings)
    wire = bomb(profile.name, 32 << 20)
    (error,) = server.receive_frame(codec.make_frame(1, 1, codec.StreamFlag.ENCODED, 1, 4, wire[:60000]))
    assert error.error.requirement == "encoding.decoded-limit"
    (error,) = server.receive_frame(codec.make_frame(1, 3, codec.StreamFlag.STREAM_BEGIN, 1, 1, b"x"))
    assert error.error.requirement == "reactor.errored"


# The registry


def test_the_order_is_the_preference() -> None:
    wanted = ["zstd-8mb", "zlib", "identity"] if HAS_ZSTD else ["zlib", "identity"]
    assert list(default_encodings()) == wanted


def test_a_profile_that_there_is_not() -> None:
    with pytest.raises(EncodingError, match=r"no content encoding 'br'; there are .*zlib, identity"):
        default_encodings()["br"]
    assert default_encodings().get("br") is None
    assert "br" not in default_encodings()


def test_without_zstandard_its_profile_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "_zstd", lambda: None)
    offered = encodings._installed(default_revision())
    assert list(offered) == ["zlib", "identity"]
    assert offered.get("zstd-8mb") is None
    for attempt in (lambda: offered["zstd-8mb"], zstd_profile, lambda: Server(encodings=offered, encoding="zstd-8mb")):
        with pytest.raises(EncodingError, match=r"pip install 'hgproto\[zstd\]'"):
            attempt()


def test_a_profile_that_a_user_gives_is_not_missing() -> None:
    own = zlib_profile()
    assert Encodings([], {"zlib": "pip install"}).missing == {"zlib": "pip install"}
    assert Encodings([], {"zlib": "pip install"}).plus(own).missing == {}


class Reversed:
    """An encoding of a user's own, each payload by itself."""

    def encode(self, data: bytes | memoryview) -> bytes:
        return bytes(data)[::-1]

    def flush(self) -> bytes:
        return b""

    def finish(self) -> bytes:
        return b""


class Unreversed:
    def decode(self, data: bytes, limit: int) -> bytes:
        return data[::-1]

    def finish(self) -> None:
        pass


@pytest.mark.requirement("stream-settings.known-profile")
def test_profiles_of_a_user() -> None:
    profile = Profile("reversed", Reversed, Unreversed, settings=b"\x01")
    known = default_encodings().plus(profile, zlib_profile(9))
    assert [*known] == ["reversed", "zlib", *(name for name in default_encodings() if name != "zlib")]
    assert known["zlib"] is not default_encodings()["zlib"]
    frame: Frame = codec.make_frame(1, 1, 0, 1, 1, b"heads")
    settings, sent = OutputStream(1, profile).send(frame, end=True)
    assert settings.payload == b"\x08reversed\x01"
    assert sent.payload == b"sdaeh"
    server = Server(encodings=known)
    server.receive_frame(settings)
    assert [event.name for event in server.receive_frame(sent)] == ["heads"]
    (refused,) = Server().receive_frame(settings)
    assert refused.error.requirement == "stream-settings.known-profile"


def test_encodings_are_what_they_were_made_of() -> None:
    assert list(Encodings([])) == []
    assert repr(zlib_profile()) == "Profile('zlib')"


ONE, TWO = "28b52ffd2010550000206f6e65200100738e08", "28b52ffd20105500002074776f200100738e08"
"""Two payloads, each a whole Zstandard frame."""
SKIPPED = "502a4d1803000000616263"
"""A skippable frame with three bytes."""


@needs_zstd
@pytest.mark.requirement("encoding.nothing-after-end", "encoding.decodable")
@pytest.mark.parametrize(
    ("payloads", "error"),
    [
        ([ONE, TWO], ("after-end", 0, "another Zstandard frame of 19 bytes")),
        ([ONE + TWO], ("after-end", 19, "another Zstandard frame of 19 bytes")),
        ([ONE, SKIPPED], ("after-end", 0, "a skippable frame of 11 bytes")),
        ([ONE + SKIPPED], ("after-end", 19, "a skippable frame of 11 bytes")),
        ([ONE, "21"], ("after-end", 0, "1 byte")),
        ([SKIPPED], ("undecodable", 0, "a skippable frame")),
        ([SKIPPED + ONE], ("undecodable", 0, "a skippable frame")),
        ([SKIPPED[:4], SKIPPED[4:]], ("undecodable", 0, "a skippable frame")),
        (["5f2a4d1800000000"], ("undecodable", 0, "a skippable frame")),
    ],
)
def test_a_zstandard_stream_is_one_frame_and_skips_nothing(payloads: list[str], error: tuple[str, int, str]) -> None:
    decoder = zstd_profile().decoder()
    *before, last = map(bytes.fromhex, payloads)
    for payload in before:
        decoder.decode(payload, LIMIT)
    with pytest.raises(DecodingError) as raised:
        decoder.decode(last, LIMIT)
    assert (raised.value.answer, raised.value.offset, raised.value.found) == error


@needs_zstd
@pytest.mark.requirement("encoding.nothing-after-end")
def test_a_response_with_a_zstandard_frame_for_each_payload_is_rejected_with_the_remedy() -> None:
    client = Client()
    list(client.issue("x"))
    header = "13000001000204"
    wire = f"0900000100020180087a7374642d386d62 {header}41{ONE} {header}42{TWO}"
    data, lost, error = client.receive_data(bytes.fromhex(wire))
    assert data.data == b"one one one one "
    assert lost.received == 16
    assert (error.error.requirement, error.error.offset) == ("encoding.nothing-after-end", 52)
    assert "flushes blocks instead of ending the frame" in error.error.expected


def test_the_schema_says_what_a_zstandard_stream_is_and_why() -> None:
    doc = load(SCHEMA / "framing-0002.yaml").profiles["zstd-8mb"].doc
    for said in (
        "One Zstandard frame",
        "skippable",
        "encoding.nothing-after-end",
        "encoding.decodable",
        "The reason is",
    ):
        assert said in doc


@pytest.mark.parametrize(
    ("make", "level", "error", "words"),
    [
        (zlib_profile, -1, ValueError, "level must be 0 to 9, not -1"),
        (zlib_profile, 10, ValueError, "level must be 0 to 9, not 10"),
        (zlib_profile, "9", TypeError, "level must be an integer, not str"),
        (zstd_profile, 0, ValueError, "level must be 1 to 22, not 0"),
        (zstd_profile, 23, ValueError, "level must be 1 to 22, not 23"),
        (zstd_profile, 3.0, TypeError, "level must be an integer, not float"),
    ],
)
def test_a_level_that_there_is_not(make: Any, level: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=f"^{words}$"):
        make(level)


@pytest.mark.requirement("stream-settings.name-ascii", "stream-settings.name-size")
@pytest.mark.parametrize(
    ("name", "settings", "error", "words"),
    [
        ("", b"", LocalProtocolError, "at least 1 byte"),
        ("\xe9", b"", LocalProtocolError, "expected ASCII, found U\\+00E9"),
        ("x" * 256, b"", LocalProtocolError, "at most 255 bytes"),
        (5, b"", TypeError, "must be text, not int"),
        ("x", None, TypeError, "settings of a profile must be bytes"),
        ("x", bytes((1 << 24) - 2), ValueError, "a payload has at most 16777215"),
    ],
)
def test_a_profile_that_no_stream_settings_can_name(name: Any, settings: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        Profile(name, Reversed, Unreversed, settings)


def test_the_longest_name_and_settings_of_a_profile() -> None:
    assert Profile("x" * 255, Reversed, Unreversed).name == "x" * 255
    settings = bytearray((1 << 24) - 3)
    profile = Profile("x", Reversed, Unreversed, settings)
    settings[0] = 1
    assert profile.settings == bytes((1 << 24) - 3)


@pytest.mark.requirement("stream-settings.known-profile")
def test_a_receiver_without_encodings_says_so() -> None:
    settings = stream_settings(1, 1, "zlib")
    with pytest.raises(RemoteProtocolError, match=r"^profile: expected no content encoding, found 'zlib'"):
        InputStream(1, encodings=Encodings([])).receive(settings)
