"""The reference for Mercurial's frame-based wire protocol with streams.

The public names, and nothing else. Each is imported when it is first used, so that importing the package costs next
to nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hgproto.build import bytes_response, command, error_response, progress, stream_settings, text_output
    from hgproto.client import Client
    from hgproto.encodings import Encodings, Profile, default_encodings
    from hgproto.errors import (
        EncodingError,
        HexError,
        HgprotoError,
        HumanFormError,
        LocalProtocolError,
        ProtocolError,
        RemoteProtocolError,
    )
    from hgproto.events import (
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
    from hgproto.finding import Finding
    from hgproto.frame import Frame
    from hgproto.human import format_frame, parse_frame
    from hgproto.input_stream import InputStream
    from hgproto.limits import Limits
    from hgproto.pool import DecodingPool, EncodingPool
    from hgproto.reader import FrameReader, read_frames
    from hgproto.revision import Revision
    from hgproto.server import Server
    from hgproto.streams import OutputStream
    from hgproto.validation import SessionValidator, Validator, assert_valid, validate, validate_payload
    from hgproto.writer import FrameWriter, encode_frame, encode_frames, write_frames

__version__ = "0.1.0"

_HOMES = {
    "build": (
        "bytes_response",
        "command",
        "error_response",
        "progress",
        "stream_settings",
        "text_output",
    ),
    "client": ("Client",),
    "encodings": (
        "Encodings",
        "Profile",
        "default_encodings",
    ),
    "errors": (
        "EncodingError",
        "HexError",
        "HgprotoError",
        "HumanFormError",
        "LocalProtocolError",
        "ProtocolError",
        "RemoteProtocolError",
    ),
    "events": (
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
    "finding": ("Finding",),
    "frame": ("Frame",),
    "human": (
        "format_frame",
        "parse_frame",
    ),
    "input_stream": ("InputStream",),
    "limits": ("Limits",),
    "pool": (
        "DecodingPool",
        "EncodingPool",
    ),
    "reader": (
        "FrameReader",
        "read_frames",
    ),
    "revision": ("Revision",),
    "server": ("Server",),
    "streams": ("OutputStream",),
    "validation": (
        "SessionValidator",
        "Validator",
        "assert_valid",
        "validate",
        "validate_payload",
    ),
    "writer": (
        "FrameWriter",
        "encode_frame",
        "encode_frames",
        "write_frames",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Client",
    "CommandCut",
    "CommandData",
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
    "Revision",
    "RunCommand",
    "SendFrames",
    "Server",
    "SessionValidator",
    "StartCommand",
    "StreamLeftOpen",
    "TextMessage",
    "Validator",
    "WantFrame",
    "__version__",
    "assert_valid",
    "bytes_response",
    "command",
    "default_encodings",
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


# Type checkers have the imports above, and report every other name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name in _HOME_OF:
            from importlib import import_module

            value = getattr(import_module(f"hgproto.{_HOME_OF[name]}"), name)
            globals()[name] = value
            return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> "list[str]":
    return sorted({*globals(), *_HOME_OF})
