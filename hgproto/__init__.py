"""The reference for Mercurial's frame-based wire protocol with streams.

The public names, and nothing else. Each is imported when it is first used, so that importing the package costs next
to nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hgproto.build import (
        bytes_response,
        command,
        error_response,
        progress,
        stream_settings,
        text_output,
    )
    from hgproto.errors import (
        HexError,
        HgprotoError,
        HumanFormError,
        LocalProtocolError,
        ProtocolError,
        RemoteProtocolError,
    )
    from hgproto.frame import Frame
    from hgproto.human import format_frame, parse_frame
    from hgproto.reader import FrameReader, read_frames
    from hgproto.revision import Revision
    from hgproto.writer import encode_frame, encode_frames, write_frames

__version__ = "0.1.0"

_HOMES = {
    "build": ("bytes_response", "command", "error_response", "progress", "stream_settings", "text_output"),
    "errors": (
        "HexError",
        "HgprotoError",
        "HumanFormError",
        "LocalProtocolError",
        "ProtocolError",
        "RemoteProtocolError",
    ),
    "frame": ("Frame",),
    "human": ("format_frame", "parse_frame"),
    "reader": ("FrameReader", "read_frames"),
    "revision": ("Revision",),
    "writer": ("encode_frame", "encode_frames", "write_frames"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Frame",
    "FrameReader",
    "HexError",
    "HgprotoError",
    "HumanFormError",
    "LocalProtocolError",
    "ProtocolError",
    "RemoteProtocolError",
    "Revision",
    "__version__",
    "bytes_response",
    "command",
    "encode_frame",
    "encode_frames",
    "error_response",
    "format_frame",
    "parse_frame",
    "progress",
    "read_frames",
    "stream_settings",
    "text_output",
    "write_frames",
]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        from importlib import import_module

        value = getattr(import_module(f"hgproto.{_HOME_OF[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> "list[str]":
    return sorted({*globals(), *_HOME_OF})
