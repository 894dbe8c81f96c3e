"""Content encodings, which compress the payloads of a stream.

A :class:`Profile` creates encoders and decoders. An :class:`Encodings` is a registry of profiles, to which users can
add their own. ``identity`` and ``zlib`` are always available. ``zstd-8mb`` needs Python 3.14 or the package
``backports.zstd`` (``pip install 'hgproto[zstd]'``), a backport of the same module.

Invariants: a decoder returns at most ``limit`` bytes, and holds little more in memory. For any bytes, it raises only
:class:`hgproto.errors.DecodingError`, whose offset counts from the start of the payload.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Protocol

from hgproto.errors import DecodingError, EncodingError, repr_of, shown
from hgproto.runtime.bytelike import as_bytes
from hgproto.runtime.definition import default_definition, defined
from hgproto.runtime.frame import check_instance, check_text, checked_number
from hgproto.runtime.layout import counted_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

    from hgproto.runtime.bytelike import BytesLike
    from hgproto.runtime.definition import Definition

__all__ = [
    "Decoder",
    "Encoder",
    "Encodings",
    "Profile",
    "default_encodings",
    "too_large",
    "zlib_profile",
    "zstd_profile",
    "zstd_window",
]

ZLIB_LEVEL = 6
"""The default of zlib."""
ZSTD_LEVEL = 3
"""The default of Zstandard. Its window is 2 MiB."""


class Encoder(Protocol):
    """One compression context, which lasts as long as its stream is open.

    An encoder may have a method ``encode_flushed`` if one call is faster than two. It returns the joined results of
    :meth:`encode` and :meth:`flush`.
    """

    def encode(self, data: bytes | memoryview) -> bytes:
        """Adds bytes, and returns the encoded bytes that are ready, which may be ``b""``."""
        ...

    def flush(self) -> bytes:
        """Returns the rest of the encoded bytes, so that a decoder can decode all added bytes. Keeps the context."""
        ...

    def finish(self) -> bytes:
        """Returns the rest and the end of the encoded bytes. No other call may follow."""
        ...


class Decoder(Protocol):
    """One decompression context, the counterpart of an :class:`Encoder`."""

    def decode(self, data: bytes, limit: int) -> bytes:
        """Decodes bytes. ``limit``: the most bytes that may be returned.

        Raises :class:`DecodingError` (undecodable, too-large, after-end, wide-window). A decoder is not used again
        after it has raised an error.
        """
        ...

    def finish(self) -> None:
        """Checks that the encoded bytes are complete. Raises :class:`DecodingError` (truncated)."""
        ...


class Profile:
    """A content encoding: its name, the factories of its contexts, and the bytes of its stream-settings.

    Raises :class:`hgproto.errors.LocalProtocolError` for a name that stream-settings cannot contain, such as an empty
    one. Raises :class:`ValueError` for settings that do not fit into a payload.
    """

    __slots__ = ("decoder", "encoder", "name", "settings")

    def __init__(
        self, name: str, encoder: Callable[[], Encoder], decoder: Callable[[], Decoder], settings: BytesLike = b""
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"the name of a profile must be text, not {type(name).__name__}")
        kept = as_bytes(settings, "the settings of a profile")
        revision = default_definition()
        payload = revision.encode_settings(name, kept)
        most = revision.codec.MAX_PAYLOAD[1]
        if len(payload) > most:
            raise ValueError(
                f"the settings of a profile need {counted_bytes(len(payload))}, and a payload has at most {most}"
            )
        self.name = name
        self.encoder = encoder
        self.decoder = decoder
        self.settings = kept

    def __repr__(self) -> str:
        return f"Profile({repr_of(self.name)})"


class Encodings:
    """Profiles by name, in the order of preference. Immutable; :meth:`plus` returns a copy with more profiles."""

    __slots__ = ("_missing", "_profiles")

    def __init__(self, profiles: Iterable[Profile], missing: dict[str, str] | None = None) -> None:
        profiles = tuple(profiles)
        for profile in profiles:
            check_instance(profile, Profile, "a profile of encodings")
        self._profiles = {profile.name: profile for profile in profiles}
        self._missing = {name: how for name, how in (missing or {}).items() if name not in self._profiles}

    def plus(self, *profiles: Profile) -> Encodings:
        """Returns a registry with more profiles. The new ones are preferred, and replace those of the same name."""
        for profile in profiles:
            check_instance(profile, Profile, "a profile of encodings")
        others = (profile for name, profile in self._profiles.items() if name not in {new.name for new in profiles})
        return Encodings([*profiles, *others], self._missing)

    @property
    def missing(self) -> dict[str, str]:
        """The known profiles that are not installed, and the commands that install them."""
        return dict(self._missing)

    def get(self, name: str) -> Profile | None:
        """Returns the profile of that name, or None."""
        return self._profiles.get(name)

    def __getitem__(self, name: str) -> Profile:
        check_text(name, "the name of an encoding")
        if name in self._profiles:
            return self._profiles[name]
        if name in self._missing:
            raise EncodingError(f"the content encoding {shown(name)} needs a package: {self._missing[name]}")
        raise EncodingError(
            f"there is no content encoding {shown(name)}; there are {', '.join(self._profiles) or 'none'}"
        )

    def __contains__(self, name: object) -> bool:
        return name in self._profiles

    def __iter__(self) -> Iterator[str]:
        return iter(self._profiles)


def default_encodings(revision: Definition | None = None) -> Encodings:
    """Returns the installed profiles of a revision. ``revision``: None for the default revision.

    Zstandard is preferred to zlib, and zlib to no encoding.
    """
    revision = defined(revision)
    return revision.kept(Encodings, lambda: _installed(revision))


_PREFERENCE = ("zstd", "zlib", "identity")
"""The algorithms, best first."""


def _installed(revision: Definition) -> Encodings:
    """Creates the installed profiles of a revision."""
    profiles, missing = [], {}
    for algorithm in _PREFERENCE:
        for name, (own, window) in revision.roles.PROFILES.items():
            if own != algorithm:
                continue
            if algorithm == "identity":
                profiles.append(Profile(name, _IdentityEncoder, IdentityDecoder))
            elif algorithm == "zlib":
                profiles.append(_zlib_profile(name, ZLIB_LEVEL))
            elif _zstd() is None:
                missing[name] = "pip install 'hgproto[zstd]'"
            else:
                profiles.append(_zstd_profile(name, window, ZSTD_LEVEL))
    return Encodings(profiles, missing)


def _named(revision: Definition, algorithm: str) -> tuple[str, int | None]:
    """Returns the name and largest window of the profile with an algorithm. Raises :class:`EncodingError` without one."""
    for name, (own, window) in revision.roles.PROFILES.items():
        if own == algorithm:
            return name, window
    raise EncodingError(f"{revision.title} has no profile with the algorithm {algorithm!r}; use another revision")


class _IdentityEncoder:
    __slots__ = ()

    def encode(self, data: bytes | memoryview) -> bytes:
        return as_bytes(data)

    def flush(self) -> bytes:
        return b""

    finish = flush


class IdentityDecoder:
    """The decoder of payloads that are not compressed."""

    __slots__ = ()

    def decode(self, data: bytes, limit: int) -> bytes:
        data = as_bytes(data)
        if len(data) > limit:
            raise too_large(limit)
        return data

    def finish(self) -> None:
        """Does nothing, because the encoding has no end marker."""


# zlib


def zlib_profile(level: int = ZLIB_LEVEL, *, revision: Definition | None = None) -> Profile:
    """Returns a profile with one zlib stream (RFC 1950) per protocol stream.

    ``level``: 0 to 9. ``revision``: defines the name of the profile. Raises :class:`ValueError` for any other level.
    """
    level = checked_number("level", level, 0, 9)
    name, _ = _named(defined(revision), "zlib")
    return _zlib_profile(name, level)


def _zlib_profile(name: str, level: int) -> Profile:
    return Profile(name, lambda: _ZlibEncoder(level), ZlibDecoder)


class _ZlibEncoder:
    __slots__ = ("_finish", "_flush", "_sync", "encode")

    def __init__(self, level: int) -> None:
        import zlib

        context = zlib.compressobj(level)
        self.encode: Callable[[bytes | memoryview], bytes] = context.compress
        self._flush = context.flush
        self._sync, self._finish = zlib.Z_SYNC_FLUSH, zlib.Z_FINISH

    def flush(self) -> bytes:
        return self._flush(self._sync)

    def finish(self) -> bytes:
        return self._flush(self._finish)


class ZlibDecoder:
    """The decoder of one zlib stream."""

    __slots__ = ("_context", "_error", "_fed")

    def __init__(self) -> None:
        import zlib

        self._context = zlib.decompressobj()
        self._error = zlib.error
        self._fed = False

    def decode(self, data: bytes, limit: int) -> bytes:
        if type(data) is not bytes:
            data = as_bytes(data)
        context = self._context
        if context.eof:
            if data:
                raise _after_end(0, len(data))
            return b""
        self._fed = self._fed or bool(data)
        try:
            # A limit of one byte more shows if the data exceeds the real limit, and makes zlib return all of it
            # otherwise.
            decoded = context.decompress(data, limit + 1)
        except self._error as error:
            raise _undecodable("zlib", error) from None
        if len(decoded) > limit:
            raise too_large(limit)
        if context.unused_data:
            raise _after_end(len(data) - len(context.unused_data), len(context.unused_data))
        return decoded

    def finish(self) -> None:
        if self._fed and not self._context.eof:
            raise _truncated("zlib")


# Zstandard


@cache
def _zstd() -> ModuleType | None:
    """Returns the standard library's module or its backport, or None if neither is installed."""
    from importlib import import_module

    for name in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


def zstd_profile(level: int = ZSTD_LEVEL, *, revision: Definition | None = None) -> Profile:
    """Returns a profile with one Zstandard frame (RFC 8878) per protocol stream.

    An encoder flushes blocks; only ``finish`` ends the Zstandard frame. A decoder rejects a second Zstandard frame,
    every skippable frame, and a window larger than that of the profile. ``level``: 1 to 22; the window of the highest
    levels is bounded. ``revision``: defines the name and the window of the profile. Raises :class:`ValueError` for any
    other level, and :class:`EncodingError` without Zstandard.
    """
    level = checked_number("level", level, 1, 22)
    name, window = _named(defined(revision), "zstd")
    return _zstd_profile(name, window, level)


def _zstd_profile(name: str, window: int | None, level: int) -> Profile:
    module = _zstd()
    if module is None:
        raise EncodingError(f"the content encoding {name!r} needs a package: pip install 'hgproto[zstd]'")
    options = {module.CompressionParameter.compression_level: level}
    _, widest = module.CompressionParameter.window_log.bounds()
    largest = widest if window is None else min(window.bit_length() - 1, widest)
    if largest < (_WIDE if level < 20 else widest):
        options[module.CompressionParameter.window_log] = largest
    return Profile(name, lambda: _ZstdEncoder(module, options), lambda: ZstdDecoder(module, largest))


_WIDE = 23
"""The base-2 logarithm of the largest window that levels below 20 use."""


class _ZstdEncoder:
    __slots__ = ("_block", "_flush", "_frame", "encode")

    def __init__(self, module: ModuleType, options: dict[object, int]) -> None:
        context = module.ZstdCompressor(options=options)
        self.encode: Callable[..., bytes] = context.compress
        self._flush: Callable[[int], bytes] = context.flush
        self._block, self._frame = context.FLUSH_BLOCK, context.FLUSH_FRAME

    def encode_flushed(self, data: bytes | memoryview) -> bytes:
        # A single call releases the interpreter lock only once, and threads wait for that lock.
        return self.encode(data, self._block)

    def flush(self) -> bytes:
        return self._flush(self._block)

    def finish(self) -> bytes:
        return self._flush(self._frame)


class ZstdDecoder:
    """The decoder of one Zstandard frame."""

    __slots__ = ("_context", "_error", "_head", "_largest")

    def __init__(self, module: ModuleType, largest: int) -> None:
        options = {module.DecompressionParameter.window_log_max: largest}
        self._largest = 1 << largest
        self._context = module.ZstdDecompressor(options=options)
        self._error: type[Exception] = module.ZstdError
        self._head = b""

    def decode(self, data: bytes, limit: int) -> bytes:
        if type(data) is not bytes:
            data = as_bytes(data)
        context = self._context
        if context.eof:
            if data:
                raise _after_zstd_frame(0, data)
            return b""
        if len(self._head) < _ZSTD_HEAD:
            self._head += data[: _ZSTD_HEAD - len(self._head)]
            if _is_skippable(self._head):
                raise DecodingError("undecodable", 0, "a Zstandard frame with content", "a skippable frame")
        try:
            decoded: bytes = context.decompress(data, limit + 1)
        except self._error as error:
            window = zstd_window(self._head)
            if window > self._largest:
                expected = f"a window of at most {counted_bytes(self._largest)}"
                raise DecodingError("wide-window", 0, expected, counted_bytes(window)) from None
            raise _undecodable("Zstandard", error) from None
        if len(decoded) > limit:
            raise too_large(limit)
        if context.eof and context.unused_data:
            raise _after_zstd_frame(len(data) - len(context.unused_data), context.unused_data)
        return decoded

    def finish(self) -> None:
        if self._head and not self._context.eof:
            raise _truncated("Zstandard")


_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_HEAD = 18
"""The most bytes of a Zstandard frame header, magic number included (RFC 8878, 3.1.1.1)."""


def _is_skippable(head: bytes) -> bool:
    """Returns True if the bytes start a skippable frame (RFC 8878, 3.1.2)."""
    return head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5


def _after_zstd_frame(at: int, rest: bytes) -> DecodingError:
    """Returns the error for bytes after a Zstandard frame. A common cause is an encoder that ends it with each payload."""
    expected = "one Zstandard frame for each stream, whose sender flushes blocks instead of ending the frame,"
    found = counted_bytes(len(rest))
    if rest.startswith(_ZSTD_MAGIC):
        found = f"another Zstandard frame of {found}"
    elif _is_skippable(rest):
        found = f"a skippable frame of {found}"
    return DecodingError("after-end", at, expected, found)


def zstd_window(head: bytes) -> int:
    """Returns the window of a Zstandard frame header in bytes, or 0 if the header has none (RFC 8878, 3.1.1.1)."""
    if len(head) < 6 or head[:4] != _ZSTD_MAGIC:
        return 0
    single_segment = head[4] & 0x20
    if not single_segment:
        exponent, mantissa = head[5] >> 3, head[5] & 7
        return (1 << (10 + exponent)) + ((1 << (10 + exponent)) >> 3) * mantissa
    # Without a window descriptor, the window is the size of the content.
    at = 5 + (0, 1, 2, 4)[head[4] & 3]
    size = (1, 2, 4, 8)[head[4] >> 6]
    content = int.from_bytes(head[at : at + size], "little")
    return content + 256 if size == 2 else content


# Errors


def _undecodable(what: str, error: Exception) -> DecodingError:
    return DecodingError("undecodable", 0, f"bytes of a {what} stream", f"bytes that the library rejects: {error}")


def too_large(limit: int) -> DecodingError:
    """Returns the error for a payload whose decoded size exceeds a limit in bytes."""
    return DecodingError("too-large", 0, f"a payload of at most {counted_bytes(limit)} when decoded", "more")


def _after_end(at: int, left: int) -> DecodingError:
    return DecodingError("after-end", at, "nothing after the end of the compressed stream", counted_bytes(left))


def _truncated(what: str) -> DecodingError:
    return DecodingError("truncated", None, f"the end of the {what} stream at the end of the stream", "none")
