"""Codecs, reactors, and a validator for Mercurial's frame-based wire protocol with streams.

The package has the public names only. Each name is imported when it is first used, so that ``import hgproto`` is fast.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hgproto.errors import (
        DecodingError,
        EncodingError,
        HexError,
        HgprotoError,
        HumanFormError,
        LocalProtocolError,
        ProtocolError,
        RemoteProtocolError,
    )
    from hgproto.judging.finding import Finding
    from hgproto.judging.validation import SessionValidator, Validator, assert_valid, validate, validate_payload
    from hgproto.reactors.client import Client
    from hgproto.reactors.events import (
        CommandCut,
        CommandData,
        Error,
        NoOp,
        PeerError,
        ProgressUpdate,
        RequestError,
        ResponseData,
        RunCommand,
        SendFrames,
        StartCommand,
        StreamLeftOpen,
        TextMessage,
        WantFrame,
    )
    from hgproto.reactors.limits import Limits
    from hgproto.reactors.pool import DecodingPool, EncodingPool
    from hgproto.reactors.server import Server
    from hgproto.reactors.snapshot import Snapshot
    from hgproto.reactors.writers import CommandWriter, ResponseWriter
    from hgproto.revisions.framing_0002 import build
    from hgproto.revisions.framing_0002.build import (
        bytes_response,
        command,
        error_response,
        progress,
        stream_settings,
        text_output,
    )
    from hgproto.revisions.revision import Revision, default_revision
    from hgproto.runtime.frame import Frame
    from hgproto.streams.encodings import Encodings, Profile, default_encodings
    from hgproto.streams.input_stream import InputStream
    from hgproto.streams.output_stream import OutputStream
    from hgproto.wire.human import format_frame, parse_frame
    from hgproto.wire.reader import FrameReader, read_frames
    from hgproto.wire.writer import FrameWriter, encode_frame, encode_frames, write_frames

__version__ = "0.1.0"

_HOMES = {
    "revisions.framing_0002.build": (
        "bytes_response",
        "command",
        "error_response",
        "progress",
        "stream_settings",
        "text_output",
    ),
    "reactors.client": ("Client",),
    "streams.encodings": (
        "Encodings",
        "Profile",
        "default_encodings",
    ),
    "errors": (
        "DecodingError",
        "EncodingError",
        "HexError",
        "HgprotoError",
        "HumanFormError",
        "LocalProtocolError",
        "ProtocolError",
        "RemoteProtocolError",
    ),
    "reactors.events": (
        "CommandCut",
        "CommandData",
        "Error",
        "NoOp",
        "PeerError",
        "ProgressUpdate",
        "RequestError",
        "ResponseData",
        "RunCommand",
        "SendFrames",
        "StartCommand",
        "StreamLeftOpen",
        "TextMessage",
        "WantFrame",
    ),
    "judging.finding": ("Finding",),
    "runtime.frame": ("Frame",),
    "wire.human": (
        "format_frame",
        "parse_frame",
    ),
    "streams.input_stream": ("InputStream",),
    "reactors.limits": ("Limits",),
    "reactors.pool": (
        "DecodingPool",
        "EncodingPool",
    ),
    "wire.reader": (
        "FrameReader",
        "read_frames",
    ),
    "revisions.revision": (
        "Revision",
        "default_revision",
    ),
    "reactors.server": ("Server",),
    "reactors.snapshot": ("Snapshot",),
    "reactors.writers": (
        "CommandWriter",
        "ResponseWriter",
    ),
    "streams.output_stream": ("OutputStream",),
    "judging.validation": (
        "SessionValidator",
        "Validator",
        "assert_valid",
        "validate",
        "validate_payload",
    ),
    "wire.writer": (
        "FrameWriter",
        "encode_frame",
        "encode_frames",
        "write_frames",
    ),
}
_MODULES = {"build": "revisions.framing_0002.build"}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Client",
    "CommandCut",
    "CommandData",
    "CommandWriter",
    "DecodingError",
    "DecodingPool",
    "EncodingError",
    "EncodingPool",
    "Encodings",
    "Error",
    "Finding",
    "Frame",
    "FrameReader",
    "FrameWriter",
    "HexError",
    "HgprotoError",
    "HumanFormError",
    "InputStream",
    "Limits",
    "LocalProtocolError",
    "NoOp",
    "OutputStream",
    "PeerError",
    "Profile",
    "ProgressUpdate",
    "ProtocolError",
    "RemoteProtocolError",
    "RequestError",
    "ResponseData",
    "ResponseWriter",
    "Revision",
    "RunCommand",
    "SendFrames",
    "Server",
    "SessionValidator",
    "Snapshot",
    "StartCommand",
    "StreamLeftOpen",
    "TextMessage",
    "Validator",
    "WantFrame",
    "__version__",
    "assert_valid",
    "build",
    "bytes_response",
    "command",
    "default_encodings",
    "default_revision",
    "encode_frame",
    "encode_frames",
    "error_response",
    "format_frame",
    "parse_frame",
    "progress",
    "read_frames",
    "stream_settings",
    "text_output",
    "validate",
    "validate_payload",
    "write_frames",
]


# Type checkers read the imports above instead, so that they report unknown names.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name in _HOME_OF or name in _MODULES:
            from importlib import import_module

            module = import_module(f"hgproto.{_MODULES.get(name) or _HOME_OF[name]}")
            value = globals()[name] = module if name in _MODULES else getattr(module, name)
            return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> "list[str]":
    return sorted({*globals(), *_HOME_OF, *_MODULES})
