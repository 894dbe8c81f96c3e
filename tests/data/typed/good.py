"""A user's project without mistakes: type checkers report nothing here."""

import copy
import gzip
import io
import socket
import subprocess
import sys
import tempfile
from array import array

import hgproto
from hgproto import (
    Client,
    DecodingPool,
    EncodingPool,
    Frame,
    FrameReader,
    FrameWriter,
    InputStream,
    Limits,
    OutputStream,
    ResponseData,
    RunCommand,
    SendFrames,
    Server,
    SessionValidator,
    Validator,
    WantFrame,
    assert_valid,
    bytes_response,
    command,
    encode_frames,
    format_frame,
    read_frames,
    validate,
    write_frames,
)
from hgproto.judging.finding import Finding, Role
from hgproto.reactors.events import ClientEvent, Event, ServerEvent
from hgproto.revisions.framing_0002 import codec
from hgproto.runtime.cbor import Map, Simple, Tag
from hgproto.strategies import sessions

LIMITS = Limits(
    active_requests=10,
    argument_value=10,
    arguments=10,
    buffered_bytes=10,
    decoded_frame=10,
    decoded_response=10,
    max_payload=10,
    open_streams=10,
    payload_items=10,
    receiving_requests=10,
    request_bytes=10,
    send_payload=10,
)


def number_of(event: Event) -> int | None:
    """Events are told apart by their classes."""
    if isinstance(event, WantFrame | hgproto.Error | hgproto.StreamLeftOpen):
        return None
    return event.request_id


def served(server: Server, data: bytes | bytearray | memoryview) -> bytes:
    """A server that answers everything."""
    sends: list[SendFrames | hgproto.NoOp] = []
    events: list[ServerEvent] = server.receive_data(data)
    for event in [*events, *server.receive_end()]:
        match event:
            case RunCommand():
                name: str = event.name
                tip: bytes = event.args.get("tip", b"")
                sends.append(server.respond(event.request_id, [name.encode(), tip]))
            case SendFrames():
                sends.append(event)
            case _:
                pass
    return b"".join(encode_frames(frame for send in sends for frame in send))


class Source:
    """A file of one's own."""

    def read(self, size: int = -1) -> bytes:
        """Returns no bytes."""
        return b""


def any_file(peer: socket.socket, process: subprocess.Popen[bytes]) -> None:
    """Binary files of all kinds are read and written, and the generated codec is one."""
    frames = list(read_frames(Source(), codec=codec))
    with gzip.open("x.gz", "rb") as packed:
        write_frames(peer.makefile("wb", buffering=0), command(1, 1, "unbundle", data=packed), codec=codec)
    with tempfile.NamedTemporaryFile() as named, tempfile.SpooledTemporaryFile() as spooled:
        write_frames(named, frames)
        write_frames(spooled, bytes_response(1, 2, Source()))
        write_frames(named, Server().respond(1, Source()))
        write_frames(named, Server().respond(1, spooled))
    assert process.stdin is not None
    assert process.stdout is not None
    FrameWriter(process.stdin, codec=codec).write(Client().issue("unbundle", data=process.stdout))
    FrameReader(codec=codec)
    OutputStream(2, revision=hgproto.Revision("framing-0002"))


def asked(client: Client) -> bytes:
    """A client that takes one response."""
    request = b"".join(encode_frames(client.issue("lookup", {"key": b"tip"}, io.BytesIO(b"data"))))
    events: list[ClientEvent] = client.receive_data(served(Server(limits=LIMITS), request))
    return b"".join(event.data for event in events if isinstance(event, ResponseData))


def looked_at(data: bytes) -> list[str]:
    """Frames and findings have types too."""
    lines = [format_frame(frame) for frame in read_frames([data, bytearray(data), memoryview(data), array("B", data)])]
    lines += [frame.payload.hex() for frame in FrameReader(copy=False).feed(data)]
    lines += [finding.id for finding in validate(io.BytesIO(data), role="client", reopen="restart")]
    lines += [str(finding) for finding in Validator("client").feed(data)]
    lines += [str(finding) for finding in SessionValidator().feed("client", data)]
    assert_valid(data, role="client", ignore=["stream.end"])
    return lines


def of_a_role(role: Role) -> list[str]:
    """A role is one of two words."""
    sessions(role)
    return [finding.id for finding in validate(b"", role=role) if finding.side in (None, role)]


def decoded(data: bytes) -> tuple[list[ServerEvent], list[ClientEvent]]:
    """A pool gives the events of its reactor."""
    with DecodingPool(Server(), workers=1) as of_server, DecodingPool(Client(), ahead=3) as of_client:
        return of_server.receive_data(data), of_client.receive_data(data) + of_client.receive_end()


def replaced(argument: codec.Argument, progress: codec.Progress) -> tuple[codec.Argument, codec.Progress]:
    """Records are changed by name."""
    if sys.version_info >= (3, 13):
        argument = copy.replace(argument, name="k")
    return argument.replace(name="k", value=b"v").replace(), progress.replace(pos=-1, label=None, extra={b"k": b"\x00"})


def moved(finding: Finding) -> list[Finding]:
    """Findings are changed by name too."""
    placed = finding.replace(offset=finding.offset + 8, size=1, frame=1, path="payload", line=None, around_offset=0)
    judged = finding.replace(requirement=finding.requirement, severity="note", refused=False, ends=True, bits=(0, 3))
    shown = finding.replace(expected="a", found="b", around=b"", about="", more=1, side="client")
    return [finding.replace(), placed, judged, shown, finding.replace(bits=None, side=None, frame=None, line=2)]


def told(events: list[Event], frame: Frame, progress: codec.Progress) -> list[Event]:
    """And so are events."""
    changed: list[Event] = []
    for event in events:
        match event:
            case hgproto.RunCommand():
                changed.append(event.replace(request_id=1, name="x", args={"k": b"v"}, data=None))
            case hgproto.CommandData():
                changed.append(event.replace(request_id=1, data=b"", last=True))
            case hgproto.CommandCut():
                changed.append(event.replace(request_id=1, answered=True))
            case hgproto.NoOp():
                changed.append(event.replace(request_id=None))
            case ResponseData():
                changed.append(event.replace(request_id=1, data=b"", last=True))
            case hgproto.TextMessage():
                changed.append(event.replace(request_id=1, atoms=(codec.TextAtom("x", (), ()),)))
            case hgproto.ProgressUpdate():
                changed.append(event.replace(request_id=1, progress=progress))
            case hgproto.RequestError():
                changed.append(event.replace(request_id=1, message="x", received=0, requirement=None))
            case hgproto.PeerError():
                changed.append(event.replace(request_id=1, message="x"))
            case hgproto.Error():
                changed.append(event.replace(error=event.error, frame=frame, frames=[frame]))
            case hgproto.StreamLeftOpen():
                changed.append(event.replace(stream_id=1))
            case WantFrame():
                changed.append(event.replace())
            case SendFrames():
                pass
    return changed


def seen(server: Server) -> object:
    """And so is the state of a reactor."""
    before = server.snapshot()
    again = before.replace(connection=before.connection, ended=True, requests={}, inputs={}, outputs={}, unsent=(1, 3))
    return again.replace(counters={"received": 0}, limits=LIMITS)


def items() -> tuple[Tag, Map, Simple]:
    """So are CBOR items that have no other type in Python."""
    return Tag(1, 2).replace(number=2, item=Simple(3)), Map(()).replace(pairs=(([1], 2),)), Simple(5).replace(value=6)


def sent(file: io.BufferedWriter) -> None:
    """Builders, streams and pools."""
    write_frames(file, command(1, 1, "heads", {"k": bytearray(b"v")}, memoryview(b"data"), begin=True))
    FrameWriter(file).write(bytes_response(1, 2, b""))
    stream = OutputStream(2, hgproto.default_encodings()["zlib"], flush="frame")
    for frame in stream.write(1, codec.FrameType.BYTES_RESPONSE, b"data", last=True):
        InputStream(2).receive(frame)
    with EncodingPool() as pool, DecodingPool(Server()) as decoding:
        for event in decoding.receive_data(b""):
            if isinstance(event, SendFrames):
                pool.submit(event)
