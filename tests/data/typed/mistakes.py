"""A user's mistakes, one a line: type checkers report each line that ends in a comment that says so."""

from __future__ import annotations

import hgproto
import hgproto.fuzz
from hgproto import Client, Frame, FrameReader, Limits, OutputStream, Profil, Server, Validator, encode_frame  # mistake
from hgproto import assert_valid, command, read_frames, validate
from hgproto.revisions.framing_0002 import build
from hgproto.evidence.coverage import Coverage
from hgproto.reactors.events import ClientEvent, Event, Evnt, ServerEvent  # mistake
from hgproto.revisions.framing_0002 import codec
from hgproto.runtime.cbor import Map, Simple, Tag
from hgproto.samples import breakable
from hgproto.strategies import invalid, sessions

print(hgproto.Servr)  # mistake
print(hgproto.fuzz.Campain)  # mistake
Limits(argments=3)  # mistake
Limits(arguments="3")  # mistake
Limits(3)  # mistake
Server(limits={"arguments": 3})  # mistake
Server(reopen="restrat")  # mistake
Server(strems=2)  # mistake
Client(flush="never")  # mistake
OutputStream(2, flush="never")  # mistake
OutputStream("2")  # mistake
hgproto.InputStream(1, reopen="never")  # mistake

for event in Server().receive_data(b""):
    print(event.reqest_id)  # mistake
    print(event.request_id)  # mistake
    if isinstance(event, hgproto.RunCommand):
        print(event.nmae)  # mistake
        event.name + 1  # mistake
        event.args["k"] + "text"  # mistake
for event in Server().receive_frame(Frame(1, 1, 1, 1, 1)):
    print(event.reqest_id)  # mistake
for event in Server().receive_end():
    print(event.reqest_id)  # mistake
for answer in Client().receive_data(b""):
    print(answer.reqest_id)  # mistake
    if isinstance(answer, hgproto.ResponseData):
        print(answer.dta)  # mistake
for answer in Client().receive_end():
    print(answer.reqest_id)  # mistake
for waiting in hgproto.DecodingPool(Server()).receive_data(b""):
    print(waiting.reqest_id)  # mistake

Server().receive_data("text")  # mistake
Server().receive_data(5)  # mistake
Server().respond(1, "text")  # mistake
Server().respond("1", b"")  # mistake
Client().issue(b"heads")  # mistake
Client().issue("heads", {"k": "text"})  # mistake
Client().issue("heads", data="text")  # mistake
for sent in Client().issue("heads"):
    print(sent.paylod)  # mistake
FrameReader().feed(None)  # mistake
for frame in FrameReader().feed(b""):
    print(frame.paylod)  # mistake
for frame in FrameReader().read(b""):
    print(frame.paylod)  # mistake
for frame in read_frames(b""):
    print(frame.paylod)  # mistake
encode_frame(b"")  # mistake
Frame(1, 1, 1, 1, 1, "text")  # mistake
Frame(1)  # mistake
Frame(1, 1, 0, 1, 1).replace(paylod=b"x")  # mistake
Frame(1, 1, 0, 1, 1).replace(payload="text")  # mistake
Limits().replace(argments=3)  # mistake
command(1, 1, "heads", {"k": 5})  # mistake
build.error_response(1, 2, "message", "aplication")  # mistake
for finding in validate(b"", role="client"):
    print(finding.idd)  # mistake
for finding in Validator("client").feed(b""):
    print(finding.idd)  # mistake
for finding in hgproto.SessionValidator().close():
    print(finding.idd)  # mistake
for finding in validate(b""):
    finding.replace(ofset=1)  # mistake
    finding.replace("frame.whole")  # mistake
    print(finding.replace(offset=1).ofset)  # mistake
    finding.replace(requirement="frame.whole")  # mistake
    finding.replace(severity=1)  # mistake
    finding.replace(offset="1")  # mistake
    finding.replace(size=None)  # mistake
    finding.replace(bits=3)  # mistake
    finding.replace(side="clent")  # mistake
    finding.replace(frame="1")  # mistake
    finding.replace(path=None)  # mistake
    finding.replace(expected=1)  # mistake
    finding.replace(found=b"")  # mistake
    finding.replace(refused="no")  # mistake
    finding.replace(ends=None)  # mistake
    finding.replace(around="text")  # mistake
    finding.replace(around_offset=None)  # mistake
    finding.replace(line="1")  # mistake
    finding.replace(about=None)  # mistake
    finding.replace(more=None)  # mistake
validate(b"", dept="frames")  # mistake
assert_valid(b"", rloe="client")  # mistake
assert_valid(5)  # mistake
assert_valid(b"", role="clent")  # mistake
validate(b"", role="clent")  # mistake
Validator("clent")  # mistake
hgproto.SessionValidator().feed("clent", b"")  # mistake
hgproto.SessionValidator().close("clent")  # mistake
Coverage().data(b"", "clent")  # mistake
Coverage().file("x", role="clent")  # mistake
breakable("clent")  # mistake
sessions("clent")  # mistake
invalid("frame.whole", role="clent")  # mistake
of_server: list[ServerEvent] = hgproto.DecodingPool(Client()).receive_data(b"")  # mistake
of_server = hgproto.DecodingPool(Client()).receive_frame(Frame(1, 1, 1, 1, 1))  # mistake
of_client: list[ClientEvent] = hgproto.DecodingPool(Server()).receive_end()  # mistake
hgproto.DecodingPool(Limits())  # mistake
codec.Argument("k", b"v").replace(nam="x")  # mistake
codec.Argument("k", b"v").replace(value="text")  # mistake
codec.Argument("k", b"v").replace("k")  # mistake
codec.Progress("t", 1, 2).replace(pos="1")  # mistake
codec.Progress("t", 1, 2).replace(labl="l")  # mistake
Tag(1, 2).replace(numbr=2)  # mistake
Tag(1, 2).replace(number="2")  # mistake
Map(()).replace(pair=())  # mistake
Map(()).replace(pairs=[])  # mistake
Simple(5).replace(valu=6)  # mistake
Simple(5).replace(value="6")  # mistake
hgproto.RunCommand(1, "x", {}).replace(request_id="1")  # mistake
hgproto.RunCommand(1, "x", {}).replace(name=b"x")  # mistake
hgproto.RunCommand(1, "x", {}).replace(args=[])  # mistake
hgproto.RunCommand(1, "x", {}).replace(data="text")  # mistake
hgproto.RunCommand(1, "x", {}).replace(nmae="x")  # mistake
hgproto.StartCommand(1, "x", {}).replace(nmae="x")  # mistake
hgproto.CommandData(1, b"", True).replace(request_id="1")  # mistake
hgproto.CommandData(1, b"", True).replace(data="text")  # mistake
hgproto.CommandData(1, b"", True).replace(last="no")  # mistake
hgproto.CommandCut(1, True).replace(request_id=None)  # mistake
hgproto.CommandCut(1, True).replace(answered="no")  # mistake
hgproto.NoOp().replace(request_id="1")  # mistake
hgproto.ResponseData(1, b"", True).replace(request_id=None)  # mistake
hgproto.ResponseData(1, b"", True).replace(data="text")  # mistake
hgproto.ResponseData(1, b"", True).replace(last="no")  # mistake
hgproto.ResponseData(1, b"", True).replace(dta=b"")  # mistake
hgproto.TextMessage(1, ()).replace(request_id=None)  # mistake
hgproto.TextMessage(1, ()).replace(atoms=[])  # mistake
hgproto.ProgressUpdate(1, codec.Progress("t", 1, 2)).replace(request_id=None)  # mistake
hgproto.ProgressUpdate(1, codec.Progress("t", 1, 2)).replace(progress=1)  # mistake
hgproto.RequestError(1, "x", 0).replace(request_id=None)  # mistake
hgproto.RequestError(1, "x", 0).replace(message=b"x")  # mistake
hgproto.RequestError(1, "x", 0).replace(received=None)  # mistake
hgproto.RequestError(1, "x", 0).replace(requirement=1)  # mistake
hgproto.PeerError(1, "x").replace(request_id=None)  # mistake
hgproto.PeerError(1, "x").replace(message=b"x")  # mistake
hgproto.Error(hgproto.RemoteProtocolError("", 0, "", "", ""), None).replace(error="frame.whole")  # mistake
hgproto.Error(hgproto.RemoteProtocolError("", 0, "", "", ""), None).replace(frame=b"")  # mistake
hgproto.Error(hgproto.RemoteProtocolError("", 0, "", "", ""), None).replace(frames=b"")  # mistake
hgproto.StreamLeftOpen(1).replace(stream_id="1")  # mistake
hgproto.StreamLeftOpen(1).replace(strem_id=1)  # mistake
Server().snapshot().replace(connection="works")  # mistake
Server().snapshot().replace(ended="no")  # mistake
Server().snapshot().replace(requests=[])  # mistake
Server().snapshot().replace(inputs=[])  # mistake
Server().snapshot().replace(outputs=[])  # mistake
Server().snapshot().replace(unsent=[1])  # mistake
Server().snapshot().replace(counters={}.keys())  # mistake
Server().snapshot().replace(limits={})  # mistake
Server().snapshot().replace(endd=True)  # mistake
hgproto.WantFrame().replace(request_id=1)  # mistake
codec.TextOutput(()).replace(atoms=[b"text"])  # mistake
codec.StreamSettings("zlib", b"").replace(profile="identity").proifle  # mistake


def number(event: Event) -> int:
    """Some events have no request."""
    return event.request_id  # mistake
