"""Judges after a fault: repairs, ignored parts, and findings that are reported only once."""

from __future__ import annotations

import pytest
from marks import by_findings

from hgproto.judging.validation import SessionValidator
from hgproto.reactors.limits import Limits

CASES = {
    "a stream that was not begun counts as begun": (
        """
        > 1 1 0 command-name eos x
        > 3 1 0 command-name eos x
        """,
        ["1 stream.begin-required frames[0].stream_flags"],
    ),
    "a stream that is begun again is a fresh one": (
        """
        > 1 1 stream-begin command-name eos x
        > 3 1 stream-begin command-name have-args x
        > 3 1 0 command-argument eoa \\x01\\x00\\x01\\x00a1
        """,
        ["2 stream.begin-on-open frames[1].stream_flags"],
    ),
    "what a stream has without settings cannot be looked into, and is said once": (
        """
        > 1 1 stream-begin command-name eos x
        >! 3 1 encoded command-name eos \\x01\\x02
        >! 5 1 encoded command-name eos \\x03\\x04
        > 7 1 0 command-name eos \\xff
        """,
        ["2 stream.encoded-needs-settings frames[1].stream_flags", "4 command-name.ascii frames[3].payload.name"],
    ),
    "unknown settings leave a stream whose encoded payloads are not checked": (
        """
        > 1 1 stream-begin stream-settings 0 \\x04none
        >! 1 1 encoded command-name have-args \\x01\\x02
        >! 1 1 encoded command-argument eoa \\x01\\x02
        > 3 1 stream-end command-name eos x
        > 5 1 stream-begin command-name eos \\xff
        """,
        ["1 stream-settings.known-profile frames[0].payload.profile", "5 command-name.ascii frames[4].payload.name"],
    ),
    "a context that was broken is of no more use, until the stream begins anew": (
        """
        > 1 1 stream-begin stream-settings 0 \\x04zlib
        >! 1 1 encoded command-name eos garbage
        >! 3 1 encoded command-name eos more of it
        > 5 1 stream-end command-name eos x
        > 7 1 stream-begin stream-settings 0 \\x04zlib
        > 7 1 encoded command-name eos \\xff
        """,
        ["2 encoding.decodable frames[1].payload", "6 command-name.ascii frames[5].payload.name"],
    ),
    "a frame whose header is damaged still goes through the context": (
        """
        > 1 1 stream-begin stream-settings 0 \\x04zlib
        > 1 1 encoded command-name eos|have-args first
        > 3 1 encoded command-name eos first
        > 5 1 encoded command-name eos \\xff
        """,
        ["2 command-name.eos-exclusive frames[1].flags", "4 command-name.ascii frames[3].payload.name"],
    ),
    "unknown stream flags do not hide what else is wrong": (
        """
        > 1 1 stream-begin|0x40 command-name eos|have-args x
        """,
        ["1 frame.known-stream-flags frames[0].stream_flags", "1 command-name.eos-exclusive frames[0].flags"],
    ),
    "a request of which a frame is damaged is lost until its id comes anew": (
        """
        > 1 1 stream-begin command-name have-args|have-data x
        > 1 1 0 command-argument 0 \\x01\\x00\\x09\\x00a1
        > 1 1 0 command-argument eoa \\x01\\x00\\x01\\x00a1
        > 1 1 0 command-data eos x
        > 1 1 0 command-name have-args x
        > 1 1 0 command-data eos x
        """,
        [
            "2 command-argument.value-short frames[1].payload.value",
            "5 request-id.order frames[4].request_id",
            "6 command-argument.missing frames[5].type",
        ],
    ),
    "frames of a request that nobody has begun are said once": (
        """
        > 1 1 stream-begin command-data continuation x
        > 1 1 0 command-data continuation x
        > 1 1 0 command-data eos x
        > 3 1 0 command-data eos x
        """,
        ["1 request.command-expected frames[0].type", "4 request.command-expected frames[3].type"],
    ),
    "a command on an id that is being received takes its place": (
        """
        > 1 1 stream-begin command-name have-args x
        > 1 1 0 command-name have-data y
        > 1 1 0 command-data eos x
        """,
        ["2 command-name.fresh-id frames[1].type"],
    ),
    "what follows the refusal of a limit is not looked at": (
        """
        > 1 1 stream-begin command-name have-args x
        > 1 1 0 command-argument 0 \\x01\\x00\\x01\\x00a1
        > 1 1 0 command-argument 0 \\x01\\x00\\x01\\x00b1
        > 1 1 0 command-argument 0 \\x01\\x00\\x01\\x00b1
        > 1 1 0 command-argument eoa junk
        > 3 1 0 command-name eos x
        """,
        ["3 request.argument-limits frames[2].type"],
    ),
    "a damaged message leaves its response as it is": (
        """
        > 1 1 stream-begin command-name eos x
        < 1 2 stream-begin text-output 0 \\x01
        < 1 2 0 bytes-response eos x
        < 1 2 0 text-output 0
        """,
        [
            "2 text-output.single-frame frames[0].payload.atoms[0].format_length",
            "4 response.active-request frames[2].type",
        ],
    ),
    "a damaged error still ends its request": (
        """
        > 1 1 stream-begin command-name eos x
        < 1 2 stream-begin error-response application \\xff
        > 1 1 0 command-name eos x
        """,
        ["2 error-response.utf8 frames[0].payload.message", "3 request-id.order frames[1].request_id"],
    ),
    "a response whose end is not clear is lost, and its id may be used again": (
        """
        > 1 1 stream-begin command-name eos x
        < 1 2 stream-begin bytes-response continuation|eos x
        < 1 2 0 bytes-response eos x
        > 1 1 0 command-name eos x
        """,
        ["2 bytes-response.flags-exclusive frames[0].flags", "4 request-id.order frames[1].request_id"],
    ),
    "a response that nobody has asked for is said once": (
        """
        < 1 2 stream-begin bytes-response continuation x
        < 1 2 0 bytes-response eos x
        < 1 2 0 bytes-response eos x
        """,
        ["1 response.active-request frames[0].type", "3 response.active-request frames[2].type"],
    ),
    "a command whose name is damaged may be answered": (
        """
        > 1 1 stream-begin command-name eos \\xff
        < 1 2 stream-begin bytes-response eos x
        > 3 1 0 command-name 0 y
        < 3 2 0 error-response application x
        """,
        ["1 command-name.ascii frames[0].payload.name", "3 command-name.flags-present frames[1].flags"],
    ),
    "nothing comes after a protocol error": (
        """
        > 1 1 stream-begin command-name eos x
        < 1 2 stream-begin|stream-end error-response protocol x
        < 1 2 stream-begin bytes-response eos x
        < 1 2 0 bytes-response eos x
        > 3 1 0 command-name eos \\xff
        > 3 1 0 command-name eos \\xff
        """,
        ["3 reactor.errored frames[1] ends", "5 error-response.closes frames[1] ends"],
    ),
    "of each request that is cut off a server may say so": (
        """
        > 1 1 stream-begin command-name have-data x
        > 3 1 0 command-name have-data y
        > end
        < 1 2 stream-begin error-response protocol x
        < 3 2 stream-end error-response protocol y
        < 3 2 stream-begin bytes-response eos x
        """,
        [
            "3 request.complete requests[1]",
            "3 request.complete requests[3]",
            "3 stream.end streams[1]",
            "6 reactor.errored frames[2] ends",
        ],
    ),
    "a damaged protocol error closes too": (
        """
        < 0 2 stream-begin|stream-end error-response protocol \\xff
        < 0 2 stream-begin|stream-end error-response protocol x
        """,
        ["1 error-response.utf8 frames[0].payload.message", "2 reactor.errored frames[1] ends"],
    ),
    "the end says nothing after a violation": (
        """
        > 1 1 stream-begin command-name eos|have-args x
        > 3 1 0 command-name have-args x
        < end
        > end
        """,
        ["1 command-name.eos-exclusive frames[0].flags"],
    ),
    "early answers are fine, and what is sent after them is not looked at": (
        """
        > 1 1 stream-begin command-name have-data x
        < 1 2 stream-begin bytes-response eos no
        > 1 1 0 command-data continuation x
        > 1 1 0 command-data eos x
        > 3 1 0 command-name eos x
        """,
        [],
    ),
    "settings that are not on begin make the stream unknown": (
        """
        > 1 1 stream-begin command-name have-data x
        > 1 1 0 stream-settings 0 \\x04zlib
        >! 1 1 encoded command-data continuation zzz
        > 3 1 0 command-name eos y
        """,
        ["2 stream-settings.on-begin frames[1].stream_flags"],
    ),
    "a stream of the other side is not followed": (
        """
        > 1 2 stream-begin command-name eos x
        > 3 1 stream-begin command-name eos x
        """,
        ["1 stream-id.parity frames[0].stream_id"],
    ),
    "each topic that is live at the end of a response": (
        """
        > 1 1 stream-begin command-name eos x
        < 1 2 stream-begin progress 0 \\xa3Cpos\\x00EtopicAbEtotal\\x02
        < 1 2 0 progress 0 \\xa3Cpos\\x00EtopicAaEtotal\\x02
        < 1 2 0 progress 0 \\xa3Cpos\\x00EtopicAcEtotal\\x02
        < 1 2 0 progress 0 \\xa3Cpos EtopicAcEtotal\\x02
        < 1 2 0 bytes-response eos x
        """,
        ["6 progress.topic-end frames[4]", "6 progress.topic-end frames[4]"],
    ),
}


@pytest.mark.parametrize("case", by_findings(CASES))
def test_going_on(case: str) -> None:
    lines, expected = CASES[case]
    validator = SessionValidator(limits=Limits(arguments=1 if "limit" in case else 9))
    found = [
        finding
        for number, line in enumerate(lines.strip().splitlines(), 1)
        for finding in validator.line(line.strip(), number)
    ]
    shown = [f"{finding.line} {finding.id} {finding.path}{' ends' * finding.ends}" for finding in found]
    assert shown == expected


@pytest.mark.requirement("command-argument.value-long")
def test_the_place_of_a_value_that_is_too_long_is_all_that_is_too_much() -> None:
    """The rest of a value has no structure, though this one looks like an argument."""
    validator = SessionValidator()
    first = "> 1 1 stream-begin command-name have-args x"
    begun = r"> 1 1 0 command-argument continuation \x01\x00\x0a\x00kaaaaa"
    for line in (first, begun):
        assert list(validator.line(line)) == []
    (found,) = validator.line(r"> 1 1 0 command-argument eoa \x01\x00\x01\x00kvzzzzzzz")
    frame = len("x") + len(r"....kaaaaa") + 3 * 8
    assert (found.offset, found.size) == (frame + 5, len("vzzzzzzz"))
