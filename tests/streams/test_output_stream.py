"""Output streams and ids: every frame belongs to the request in its header."""

from __future__ import annotations

import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marks import by_column

from hgproto import DecodingPool, Server
from hgproto.errors import LocalProtocolError, RemoteProtocolError
from hgproto.revisions.framing_0002 import codec
from hgproto.revisions.framing_0002.machines import StreamState
from hgproto.streams.encodings import Profile, default_encodings
from hgproto.streams.input_stream import InputStream
from hgproto.streams.output_stream import OutputStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hgproto.runtime.frame import Frame
    from hgproto.streams.encodings import Decoder, Encoder

PROFILES = [None, *(default_encodings()[name] for name in default_encodings())]
every_profile = pytest.mark.parametrize("profile", PROFILES, ids=repr)
encoding = pytest.mark.parametrize("profile", PROFILES[1:], ids=repr)
BEGIN, END, ENCODED = codec.StreamFlag.STREAM_BEGIN, codec.StreamFlag.STREAM_END, codec.StreamFlag.ENCODED
RESPONSE, TEXT = codec.FrameType.BYTES_RESPONSE, codec.FrameType.TEXT_OUTPUT
MORE, EOS = codec.BytesResponseFlag.CONTINUATION, codec.BytesResponseFlag.EOS
LIMIT = 1 << 24


def text(request_id: int, payload: bytes = b"") -> Frame:
    return codec.make_frame(request_id, 2, 0, TEXT, 0, payload)


class Receiver:
    """Decodes the frames of a stream in wire order, without the reactors."""

    def __init__(self) -> None:
        self.decoder: Decoder | None = None
        self.open = False

    def payloads(self, frames: Iterable[Frame]) -> list[tuple[int, int, int, bytes]]:
        """Request id, type, flags and decoded payload of each frame but stream-settings."""
        found = []
        for frame in frames:
            flags = int(frame.stream_flags)
            assert bool(flags & BEGIN) != self.open
            self.open = not flags & END
            payload = bytes(frame.payload)
            if frame.type == codec.FrameType.STREAM_SETTINGS:
                assert flags == BEGIN
                self.decoder = default_encodings()[codec.decode_stream_settings(payload).profile].decoder()
                continue
            if flags & ENCODED:
                assert self.decoder is not None
                payload = self.decoder.decode(payload, LIMIT)
            if flags & END and self.decoder is not None:
                self.decoder.finish()
                self.decoder = None
            found.append((frame.request_id, int(frame.type), int(frame.flags), payload))
        return found


@pytest.mark.requirement("stream.begin-required", "stream.end", "stream.begin-plain")
@every_profile
def test_the_first_frame_begins_and_the_last_ends(profile: Profile | None) -> None:
    stream = OutputStream(2, profile)
    frames = [*stream.write(1, RESPONSE, b"a", last=True), *stream.send(text(1)), *stream.send(text(3), end=True)]
    flags = [frame.stream_flags for frame in frames]
    if profile is None:
        assert flags == [BEGIN, 0, END]
    else:
        assert flags == [BEGIN, ENCODED, ENCODED, ENCODED | END]
        assert codec.decode_stream_settings(bytes(frames[0].payload)).profile == profile.name
    assert {frame.stream_id for frame in frames} == {2}
    assert stream.state is StreamState.CLOSED


@pytest.mark.requirement("stream.begin-required", "stream.end")
def test_a_stream_of_one_frame() -> None:
    (frame,) = OutputStream(2).write(1, RESPONSE, b"a", last=True, end=True)
    assert frame.stream_flags == BEGIN | END


@pytest.mark.requirement("stream.begin-required", "stream.encoded-needs-settings")
@every_profile
def test_a_stream_that_is_used_again_has_a_fresh_context(profile: Profile | None) -> None:
    stream = OutputStream(2, profile)
    first = list(stream.write(1, RESPONSE, b"same same same", last=True, end=True))
    assert list(stream.write(1, RESPONSE, b"same same same", last=True, end=True)) == first


@pytest.mark.requirement("stream.end")
@every_profile
def test_only_the_last_frame_ends_the_stream(profile: Profile | None) -> None:
    stream = OutputStream(2, profile, max_payload=4)
    frames = stream.write(1, RESPONSE, bytes(range(100)), last=True, end=True)
    assert [bool(frame.stream_flags & END) for frame in frames] == [False] * (len(frames) - 1) + [True]
    # Data of which more will come ends nothing.
    frames = stream.write(1, RESPONSE, bytes(range(100)), last=False, end=True)
    assert not any(frame.stream_flags & END for frame in frames)


def test_data_is_cut_without_an_encoding() -> None:
    frames = list(OutputStream(2, max_payload=3).write(1, RESPONSE, b"abcdef", last=True))
    assert [(bytes(frame.payload), frame.flags) for frame in frames] == [(b"abc", MORE), (b"def", EOS)]
    assert [(f.payload, f.flags) for f in OutputStream(2).write(1, RESPONSE, b"", last=True)] == [(b"", EOS)]
    assert list(OutputStream(2).write(1, RESPONSE, b"", last=False)) == []


@encoding
def test_plain_payloads_go_as_they_are(profile: Profile) -> None:
    stream = OutputStream(2, profile)
    frames = [
        *stream.write(1, RESPONSE, b"one", last=False),
        *stream.write(1, RESPONSE, b"packed", last=False, plain=True),
        *stream.write(1, RESPONSE, b"two", last=True),
        *stream.send(text(3, b"plain"), plain=True),
        *stream.write(5, RESPONSE, b"last", last=True, plain=True, end=True),
    ]
    assert [(bytes(f.payload), f.stream_flags) for f in frames if not f.stream_flags & ENCODED][1:] == [
        (b"packed", 0),
        (b"plain", 0),
    ]
    # The last frame has the end of the compressed bytes, so it is encoded whatever was asked for.
    assert frames[-1].stream_flags == ENCODED | END
    assert [payload for *_, payload in Receiver().payloads(frames)] == [b"one", b"packed", b"two", b"plain", b"last"]


@encoding
def test_a_stream_on_which_all_is_plain_ends_plainly(profile: Profile) -> None:
    frames = list(OutputStream(2, profile).write(1, RESPONSE, b"packed", last=True, plain=True, end=True))
    assert [frame.stream_flags for frame in frames] == [BEGIN, END]
    assert Receiver().payloads(frames) == [(1, RESPONSE, EOS, b"packed")]


@pytest.mark.requirement("encoding.complete-at-end")
@encoding
def test_what_may_be_too_long_when_encoded_is_sent_plain(profile: Profile) -> None:
    stream = OutputStream(2, profile)
    _, frame = stream.send(text(1, bytes(65535)))
    assert not frame.stream_flags & ENCODED
    list(stream.send(text(1)))
    with pytest.raises(LocalProtocolError) as error:
        list(stream.send(text(1, bytes(65535)), end=True))
    assert error.value.requirement == "encoding.complete-at-end"


def test_settings_are_the_streams_own() -> None:
    with pytest.raises(ValueError, match="builds its own stream-settings"):
        list(OutputStream(2).send(codec.make_frame(1, 2, 0, 8, 0, b"\x04zlib")))
    with pytest.raises(ValueError, match="flush is"):
        OutputStream(2, flush="never")  # type: ignore[arg-type]


writes = st.lists(
    st.tuples(
        st.sampled_from([1, 3, 5]),
        st.binary(max_size=60) | st.integers(0, 400).map(lambda size: b"ab" * size),
        st.sampled_from(["more", "last", "text"]),
        st.booleans(),
    ),
    max_size=12,
)


def leaks(frames: Iterable[Frame], wanted: dict[tuple[int, int], list[bytes]]) -> bool:
    """Whether what frames stand for differs from what was written for their own request and type."""
    found: dict[tuple[int, int], list[bytes]] = {}
    for request_id, code, flags, payload in Receiver().payloads(frames):
        pieces = found.setdefault((request_id, code), [])
        if code == TEXT or not pieces or pieces[-1].endswith(b"$"):
            pieces.append(b"")
        pieces[-1] += payload + (b"$" if code == TEXT or flags & EOS else b"")
    joined = {key: [piece for piece in pieces if piece] for key, pieces in wanted.items()}
    return {key: pieces for key, pieces in found.items() if any(pieces)} != {k: p for k, p in joined.items() if p}


def written(stream: OutputStream, steps: Any) -> tuple[list[Frame], dict[tuple[int, int], list[bytes]]]:
    """Frames of some writes, and for each request and type the bytes that were written, ``$`` where data ends."""
    frames: list[Frame] = []
    wanted: dict[tuple[int, int], list[bytes]] = {}
    for request_id, data, kind, plain in steps:
        if kind == "text":
            frames += stream.send(text(request_id, data), plain=plain)
            wanted.setdefault((request_id, TEXT), []).append(data + b"$")
            continue
        frames += stream.write(request_id, RESPONSE, data, last=kind == "last", plain=plain)
        pieces = wanted.setdefault((request_id, RESPONSE), [b""])
        pieces[-1] += data
        if kind == "last":
            pieces[-1] += b"$"
            pieces.append(b"")
    frames += stream.send(text(7), end=True)
    wanted[7, TEXT] = [b"$"]
    return frames, wanted


@pytest.mark.requirement("encoding.flush")
@every_profile
@pytest.mark.parametrize("flush", ["response", "frame"])
@given(steps=writes, max_payload=st.sampled_from([1, 7, 64, 32768]), limit=st.sampled_from([1, 10, 100, 1 << 20]))
def test_bytes_of_one_request_never_surface_in_anothers_frames(
    profile: Profile | None, flush: Any, steps: Any, max_payload: int, limit: int
) -> None:
    # "$" marks where data ends, so it must not be in the data.
    steps = [(request_id, data.replace(b"$", b""), kind, plain) for request_id, data, kind, plain in steps]
    stream = OutputStream(2, profile, max_payload=max_payload, decoded_limit=limit, flush=flush)
    frames, wanted = written(stream, steps)
    assert not leaks(frames, wanted)
    assert stream.state is StreamState.CLOSED
    for frame in frames:
        if frame.type == RESPONSE:
            assert len(frame.payload) <= max_payload
    sizes = [len(payload) for _, code, _, payload in Receiver().payloads(frames) if code == RESPONSE]
    if profile is not None and not any(plain for *_, plain in steps):
        assert max(sizes, default=0) <= limit


class Unflushed(OutputStream):
    """A naive stream: a context is flushed only when its data ends, even if another request writes next."""

    def _drain(self, encoder: Encoder) -> None:
        self._run = (0, 0)


@pytest.mark.requirement("encoding.flush")
@pytest.mark.parametrize("profile", [p for p in PROFILES[1:] if p is not None and p.name != "identity"], ids=repr)
def test_a_naive_stream_leaks(profile: Profile) -> None:
    steps = [(1, b"secret of one", "more", False), (3, b"three", "last", False), (1, b"", "last", False)]
    assert leaks(*written(Unflushed(2, profile), steps))
    assert not leaks(*written(OutputStream(2, profile), steps))


@pytest.mark.requirement("encoding.flush")
@every_profile
@pytest.mark.parametrize("flush", ["response", "frame"])
@given(data=st.data())
def test_frames_keep_the_order_in_which_they_were_made(
    profile: Profile | None, flush: Any, data: st.DataObject
) -> None:
    stream = OutputStream(2, profile, max_payload=7, decoded_limit=50, flush=flush)
    frames: list[Frame] = []
    wanted = dict.fromkeys([1, 3, 5, 7], b"")
    for request_id in data.draw(st.lists(st.sampled_from([1, 3, 5, 7]), max_size=12)):
        body = bytes([request_id]) * data.draw(st.integers(0, 60))
        if request_id == 7:
            stream.put(text(7, body[:20]), end=data.draw(st.booleans()))
            wanted[7] += body[:20]
        else:
            last, end = data.draw(st.booleans()), data.draw(st.booleans())
            stream.put_data(request_id, RESPONSE, body, last=last, end=end)
            wanted[request_id] += body
        frames.extend(stream.take() for _ in range(data.draw(st.integers(0, len(stream.ready)))))
    stream.put(text(7), end=True)
    frames += stream.take_all()
    assert (stream.taken, stream.made) == (len(frames), len(frames))
    found = dict.fromkeys([1, 3, 5, 7], b"")
    for request_id, _, _, payload in Receiver().payloads(frames):
        found[request_id] += payload
    assert found == wanted


@pytest.mark.requirement("encoding.decoded-limit")
def test_a_payload_that_may_be_too_large_when_decoded_is_sent_plain() -> None:
    for size, plain in ((10, False), (11, True)):
        _, frame = OutputStream(2, default_encodings()["zlib"], decoded_limit=10).send(text(1, bytes(size)))
        assert bool(frame.stream_flags & ENCODED) is not plain


@pytest.mark.requirement("encoding.flush")
def test_flushing_every_frame_hands_on_what_was_written() -> None:
    flushes: list[tuple[Any, int]] = [("frame", 3), ("response", 1)]
    for flush, count in flushes:
        stream = OutputStream(2, default_encodings()["zlib"], flush=flush)
        frames = [frame for piece in (b"a", b"b") for frame in stream.write(1, RESPONSE, piece, last=False)]
        assert len(frames) == count


# Streams that the peer sends on


@every_profile
@given(steps=writes)
def test_an_input_stream_is_the_mirror(profile: Profile | None, steps: Any) -> None:
    steps = [(request_id, data.replace(b"$", b""), kind, plain) for request_id, data, kind, plain in steps]
    frames, _ = written(OutputStream(2, profile, max_payload=64), steps)
    stream = InputStream(2)
    assert stream.state is StreamState.CLOSED
    wanted = iter(payload for *_, payload in Receiver().payloads(frames))
    for frame in frames:
        payload = stream.receive(frame)
        assert payload == (frame.payload if frame.type == codec.FrameType.STREAM_SETTINGS else next(wanted))
    assert stream.state is StreamState.CLOSED


def settings(payload: bytes = b"\x04zlib", flags: int = BEGIN) -> Frame:
    return codec.make_frame(1, 2, flags, codec.FrameType.STREAM_SETTINGS, 0, payload)


def data(payload: bytes = b"", flags: int = 0) -> Frame:
    return codec.make_frame(1, 2, flags, RESPONSE, EOS, payload)


@pytest.mark.parametrize(
    ("frames", "requirement", "offset"),
    by_column(
        [
            ([data()], "stream.begin-required", 6),
            ([data(flags=BEGIN | ENCODED)], "stream.begin-plain", 6),
            ([data(flags=BEGIN), data(flags=BEGIN)], "stream.begin-on-open", 6),
            ([data(flags=BEGIN | END), data()], "stream.begin-required", 6),
            ([data(flags=BEGIN), data(flags=ENCODED)], "stream.encoded-needs-settings", 6),
            ([data(flags=BEGIN), settings(flags=0)], "stream-settings.on-begin", 6),
            ([settings(b"\x02br")], "stream-settings.known-profile", 9),
            ([settings(b"\x04zlib!")], "stream-settings.profile-bytes", 13),
            ([settings(b"\x04zli")], "stream-settings.name-whole", 9),
            ([settings(), data(b"nonsense", ENCODED)], "encoding.decodable", 8),
            ([settings(), data(b"x\x9c", ENCODED | END)], "encoding.complete-at-end", 6),
            ([settings(), data(zlib.compress(bytes(1 << 21)), ENCODED)], "encoding.decoded-limit", 8),
            ([settings(), data(zlib.compress(b"x") + b"y", ENCODED)], "encoding.nothing-after-end", 17),
            ([data(flags=8)], "frame.known-stream-flags", 6),
        ],
        1,
    ),
)
def test_what_an_input_stream_refuses(frames: list[Frame], requirement: str, offset: int | None) -> None:
    stream = InputStream(2)
    *good, bad = frames
    for frame in good:
        stream.receive(frame)
    with pytest.raises(RemoteProtocolError) as error:
        stream.receive(bad)
    assert (error.value.requirement, error.value.offset) == (requirement, offset)


@pytest.mark.requirement("stream.begin-on-open")
def test_an_input_stream_that_is_opened_again() -> None:
    stream = InputStream(2, reopen="restart")
    for _ in range(2):
        stream.receive(settings())
        assert stream.receive(data(zlib.compress(b"fresh"), ENCODED)) == b"fresh"
    with pytest.raises(ValueError, match="reopen is"):
        InputStream(2, reopen="never")  # type: ignore[arg-type]


@pytest.mark.requirement("encoding.decoded-limit")
def test_an_input_stream_has_limits() -> None:
    for limit in (4, 5):
        stream = InputStream(2, decoded_limit=limit)
        stream.receive(settings())
        if limit == 5:
            assert stream.receive(data(zlib.compress(b"12345"), ENCODED)) == b"12345"
        else:
            with pytest.raises(RemoteProtocolError, match=r"encoding\.decoded-limit"):
                stream.receive(data(zlib.compress(b"12345"), ENCODED))


ZLIB = default_encodings()["zlib"]
NUMBERS: list[tuple[Callable[..., object], str, int, int | None]] = [
    (OutputStream, "stream_id", 0, 255),
    (partial(OutputStream, 2), "max_payload", 1, (1 << 24) - 1),
    (partial(OutputStream, 2, ZLIB), "max_payload", 1, (1 << 24) - 1),
    (partial(OutputStream, 2, ZLIB), "decoded_limit", 1, codec.LIMITS["decoded-frame"][1]),
    (InputStream, "stream_id", 0, 255),
    (partial(InputStream, 2), "decoded_limit", 1, codec.LIMITS["decoded-frame"][1]),
    (partial(DecodingPool, Server()), "ahead", 0, None),
]


@pytest.mark.parametrize(("make", "name", "least", "most"), NUMBERS)
def test_numbers_are_checked_before_they_are_used(
    make: Callable[..., object], name: str, least: int, most: int | None
) -> None:
    for good in (least, least + 1, *(() if most is None else (most,))):
        make(**{name: good})
    bounds = f"at least {least}" if most is None else f"{least} to {most}"
    for bad in (least - 1, -5, *(() if most is None else (most + 1,))):
        with pytest.raises(ValueError, match=f"^{name} must be {bounds}, not {bad}$"):
            make(**{name: bad})
    for wrong in (2.5, "2"):
        with pytest.raises(TypeError, match=f"^{name} must be an integer, not {type(wrong).__name__}$"):
            make(**{name: wrong})


@every_profile
@pytest.mark.parametrize(("type_", "found"), [(1, "command-name"), (TEXT, "text-output"), (15, "15")])
def test_only_data_is_written(profile: Profile | None, type_: int, found: str) -> None:
    expected = f"data is written as command-data and bytes-response, not as {found}; send a frame of that type instead"
    stream = OutputStream(2, profile)
    for method in (
        partial(stream.write, 1, type_, b"x", last=True),
        partial(stream.write, 1, type_, b"x", last=True, plain=True),
        partial(stream.close, 1, type_),
    ):
        with pytest.raises(ValueError, match=f"^{expected}$"):
            method()
    assert (stream.state, stream.made) == (StreamState.CLOSED, 0)


@every_profile
def test_data_is_taken_over_at_once(profile: Profile | None) -> None:
    data = bytearray(b"A" * 100_000)
    sent = OutputStream(2, profile).write(1, codec.FrameType.BYTES_RESPONSE, data, last=True)
    data[:] = b"B" * len(data)
    data.clear()
    stream = InputStream(2)
    parts = [(stream.receive(frame), frame) for frame in sent]
    received = b"".join(
        bytes(part) for part, frame in parts if part is not None and frame.type != codec.FrameType.STREAM_SETTINGS
    )
    assert received == b"A" * 100_000


class Expanding:
    """An encoder that writes each byte twice, and has some more bytes at the end."""

    def __init__(self, ending: bytes = b"") -> None:
        self.ending = ending

    def encode(self, data: bytes | memoryview) -> bytes:
        return bytes(byte for byte in bytes(data) for _ in "12")

    def flush(self) -> bytes:
        return b""

    def finish(self) -> bytes:
        return self.ending


class Halving:
    """Decodes what :class:`Expanding` encodes, without its end."""

    def decode(self, data: bytes, limit: int) -> bytes:
        assert len(data) // 2 <= limit
        return data[::2]

    def finish(self) -> None:
        """Does nothing."""


def expanding(ending: bytes = b"") -> Profile:
    return Profile("twice", partial(Expanding, ending), Halving)


@pytest.mark.requirement("frame.length-limit")
@pytest.mark.parametrize("flush", ["response", "frame"])
def test_data_that_an_encoder_expands_is_cut_into_more_frames(flush: Any) -> None:
    stream = OutputStream(2, expanding(bytes(150)), max_payload=100, decoded_limit=70, flush=flush)
    written = bytes(range(250))
    frames = stream.write(1, RESPONSE, written, last=False)
    frames += stream.write(1, RESPONSE, written, last=True)
    frames += stream.write(3, RESPONSE, written[:90], last=True, plain=True, end=True)
    assert max(len(frame.payload) for frame in frames) <= 100
    decoded = {1: b"", 3: b""}
    for frame in frames[1:]:
        assert frame.stream_flags & ENCODED
        decoded[frame.request_id] += bytes(frame.payload)[::2]
    assert decoded == {1: written * 2, 3: written[:90] + bytes(75)}
    assert [frame.request_id for frame in frames if frame.flags == EOS] == [1, 3]
    assert [bool(frame.stream_flags & END) for frame in frames] == [False] * (len(frames) - 1) + [True]


@pytest.mark.requirement("frame.length-limit", "stream.end")
def test_an_end_of_an_encoding_that_is_too_long_for_a_frame_is_cut() -> None:
    stream = OutputStream(2, expanding(bytes(250)), max_payload=100)
    frames = stream.write(1, RESPONSE, b"a", last=False) + stream.close(1, RESPONSE)
    assert [len(frame.payload) for frame in frames[2:]] == [100, 100, 50]
    assert {frame.flags for frame in frames[1:]} == {MORE}
    assert [frame.stream_flags for frame in frames[1:]] == [ENCODED] * 3 + [ENCODED | END]
    assert stream.state is StreamState.CLOSED


@pytest.mark.requirement("frame.length-limit")
@pytest.mark.parametrize("end", [False, True])
def test_a_payload_that_an_encoder_makes_too_long_for_a_frame_is_an_error_and_nothing_is_lost(end: bool) -> None:
    stream = OutputStream(2, expanding())
    frames = stream.write(1, RESPONSE, b"before", last=False)
    with pytest.raises(LocalProtocolError) as caught:
        stream.send(text(1, bytes(40_000)), end=end)
    assert str(caught.value) == (
        "payload: expected an encoded payload of at most 65535 bytes, found 80000 bytes that the encoder returned for 40000"
        " (frame.length-limit)"
    )
    # The stream goes on without the encoder, whose context has more than the receiver's.
    frames += stream.send(text(1, bytes(40_000)))
    frames += stream.write(1, RESPONSE, b"after", last=True)
    found = [(bool(frame.stream_flags & ENCODED), bytes(frame.payload)) for frame in frames[1:]]
    assert found == [(True, b"bbeeffoorree"), (False, bytes(40_000)), (False, b"after")]


@pytest.mark.requirement("frame.length-limit")
def test_settings_that_are_too_long_for_a_frame_are_no_stream() -> None:
    identity = default_encodings()["identity"]
    profile = Profile("own", identity.encoder, identity.decoder, bytes(70_000))
    with pytest.raises(
        ValueError, match=r"stream-settings of Profile\('own'\) need 70004 bytes, .* at most 65535; give"
    ):
        OutputStream(2, profile)
    (settings, _) = OutputStream(2, profile, max_payload=70_004).send(text(1))
    assert len(settings.payload) == 70_004


def test_a_frame_of_another_stream_is_not_received() -> None:
    """Its payload would be decoded in the context of a stream that it is not on."""
    stream = InputStream(2)
    frame = data(b"x", BEGIN).replace(stream_id=4)
    with pytest.raises(ValueError, match=r"^the frame is on stream 4, and this is stream 2; "):
        stream.receive(frame)
    assert stream.receive(frame.replace(stream_id=2)) == b"x"
