"""Messages: what the model says of them, and the frames that frame types and machines would refuse.

What people get wrong is in the list of breakages.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support import SCHEMA

from hgproto.language import check, load
from hgproto.language.messages import RESERVED, Message, MessagePart, message_problems
from hgproto.language.model import Constraint

if TYPE_CHECKING:
    from hgproto.language.model import Machine, Row, Schema

OURS = load(SCHEMA / "framing-0002.yaml")
COMMAND = OURS.messages["command"]


def with_message(message: Message, schema: Schema = OURS) -> Schema:
    return replace(schema, messages={**schema.messages, message.name: message})


def found(schema: Schema) -> list[str]:
    return [problem.message for problem in message_problems(schema)]


def test_the_model_says_what_a_message_is() -> None:
    names, args, data = COMMAND.parts
    assert COMMAND.roles == ("command", "argument", "data")
    assert (COMMAND.sender, COMMAND.is_single) == ("client", False)
    assert [part.is_single for part in COMMAND.parts] == [True, False, False]
    assert [part.fields for part in COMMAND.parts] == [("name",), (), ()]
    assert (names.flags, names.otherwise) == ({"have-args": "args", "have-data": "data"}, "eos")
    assert (args.each, args.cut, data.each, data.cut) == ("args", None, None, "data")
    assert (data.flag("more"), data.flag("last")) == ("continuation", "eos")
    assert OURS.messages["stream-settings"].sender is None
    assert OURS.messages["progress"].is_single
    assert OURS.messages["progress"].parts[0].fields == ("topic", "pos", "total", "label", "item")
    assert OURS.messages["text-output"].parts[0].fields == ("atoms",)
    assert not OURS.messages["bytes-response"].is_single


def test_a_parameter_is_optional_if_it_sets_a_flag_or_has_a_default() -> None:
    optional = {
        (message.name, name)
        for message in OURS.messages.values()
        for name in message.parameters
        if message.is_optional(name)
    }
    assert optional == {("command", "args"), ("command", "data"), ("error-response", "kind")}
    assert COMMAND.optional == {"args", "data"}


def test_a_message_stands_where_it_is_declared() -> None:
    text = (SCHEMA / "framing-0002.yaml").read_text(encoding="utf-8").splitlines()
    for message in OURS.messages.values():
        assert text[message.place.line - 1] == f"  {message.name}:"
        for part in message.parts:
            assert text[part.place.line - 1].startswith(f"      - {{frame: {part.frame.name}")


@pytest.mark.parametrize("role", ["begin", "end"])
def test_a_stream_can_be_opened_and_closed(role: str) -> None:
    flags = tuple(flag if flag.role != role else replace(flag, role=None) for flag in OURS.stream_flags)
    text = f"no stream flag has the role {role!r}, which every builder of messages can set"
    (problem,) = message_problems(replace(OURS, stream_flags=flags))
    assert (problem.message, problem.help) == (text, f"give one of them `role: {role}`")
    assert problem.place == COMMAND.place
    assert text in [one.message for one in check(replace(OURS, stream_flags=flags))]
    assert found(replace(OURS, stream_flags=flags, messages={})) == []


@pytest.mark.parametrize("name", sorted(RESERVED - {"extra"}))  # no field may be called so either
def test_parameters_of_every_builder_are_not_declared(name: str) -> None:
    response = OURS.messages["bytes-response"]
    parts = tuple(replace(part, cut=name) for part in response.parts)
    changed = replace(response, parameters={name: "The response."}, parts=parts)
    assert found(with_message(changed)) == [
        f"'bytes-response' cannot have the parameter {name!r}: it is a parameter of every builder"
    ]


def test_a_client_can_send_a_command_without_data() -> None:
    names, args, data = COMMAND.parts
    always = replace(COMMAND, parts=(replace(names, flags={"have-args": "args"}), args, data))
    # Our machine refuses it, too.
    (text,) = found(replace(with_message(always), machines={}))
    assert text == "'command' requires the parameter 'data', but clients also send commands without data"


def test_a_server_can_send_an_error_of_any_length() -> None:
    message = OURS.messages["error-response"]
    parts = tuple(replace(part, shorten=False) for part in message.parts)
    (text,) = found(with_message(replace(message, parts=parts)))
    assert text.startswith("'error-response' rejects long texts, but servers send texts of exceptions")


def test_the_flag_that_announces_data_has_the_role_that_receivers_ask_for() -> None:
    names, args, data = COMMAND.parts
    swapped = {"have-args": "data-follows", "have-data": None}
    flags = tuple(replace(flag, role=swapped.get(flag.name, flag.role)) for flag in names.frame.flags)
    changed = replace(COMMAND, parts=(replace(names, frame=replace(names.frame, flags=flags)), args, data))
    (text,) = found(replace(with_message(changed), machines={}))
    assert text == "'have-data' announces 'data' in 'command', but receivers do not recognize it"


@pytest.mark.parametrize(
    "change", [{"choices": ("protocol",)}, {"chooser": None, "choices": (), "otherwise": "protocol"}]
)
def test_a_server_can_send_an_error_that_does_not_end_the_connection(change: dict[str, Any]) -> None:
    message = OURS.messages["error-response"]
    (part,) = (replace(part, **change) for part in message.parts)
    parameters = message.parameters if part.chooser else {}
    (text,) = found(with_message(replace(message, parameters=parameters, parts=(part,))))
    assert text == "each 'error-response' ends the connection, but servers also reject single requests"


# The order of frames: the receiver's machine and the constraints have to allow it.


def without_rows(machine: Machine, drop: Any) -> Machine:
    return replace(machine, transitions=tuple(row for row in machine.transitions if not drop(row)))


def takes(row: Row, frame: str) -> bool:
    return frame in row.frames and row.to is not None


@pytest.mark.parametrize("frame", ["command-name", "command-argument", "command-data"])
def test_each_frame_of_a_message_needs_a_row(frame: str) -> None:
    """No matter which frame type a machine stops to accept: the message that has it is named."""
    machine = OURS.machines["server-request"]
    changed = without_rows(machine, lambda row: takes(row, frame))
    (text,) = found(replace(OURS, machines={**OURS.machines, machine.name: changed}))
    assert text.startswith(f"'server-request' rejects '{frame} ")
    assert text.endswith(" in 'command' from every state")


def test_machines_of_the_sender_and_of_other_scopes_do_not_count() -> None:
    machine = without_rows(OURS.machines["server-request"], lambda row: takes(row, "command-data"))
    for other in (replace(machine, role="client"), replace(machine, scope="stream")):
        assert found(replace(OURS, machines={**OURS.machines, machine.name: other})) == []


@pytest.mark.parametrize(("order", "is_good"), [((0, 1, 2), True), ((0, 2, 1), False), ((1, 0, 2), False)])
def test_frames_come_in_an_order_that_the_machine_knows(order: tuple[int, ...], is_good: bool) -> None:
    changed = replace(COMMAND, parts=tuple(COMMAND.parts[index] for index in order))
    assert (found(with_message(changed)) == []) == is_good


@pytest.mark.parametrize("frame", list(OURS.messages))
def test_each_flag_that_a_message_sets_is_one_that_the_frame_type_may_have(frame: str) -> None:
    """The constraints of one frame type of each message are made such that they allow no flags of the message at all."""
    message = OURS.messages[frame]
    part = message.parts[0]
    flags = tuple(flag.name for flag in part.frame.flags)
    if not flags:
        assert frame in ("progress", "stream-settings", "text-output")
        return
    choices = part.choices or (part.otherwise,) if part.is_single else (part.flag("more"), part.flag("last"))
    kind = replace(part.frame.constraints[0], kind="none-of", names=tuple(name for name in choices if name is not None))
    narrow = replace(part, frame=replace(part.frame, constraints=(kind,)))
    (text,) = found(with_message(replace(message, parts=(narrow, *message.parts[1:]))))
    assert text.startswith(f"the constraints of {part.frame.name!r} forbid ")


def test_two_messages_of_the_same_roles_are_one_too_many() -> None:
    text = OURS.messages["text-output"]
    other = replace(text, name="note")
    assert found(with_message(other)) == ["'note' has frame types of the same roles as 'text-output'"]
    part = text.parts[0]
    plain = replace(part, frame=replace(part.frame, role=None))
    assert isinstance(plain, MessagePart)
    assert found(with_message(replace(other, parts=(plain,)))) == []


def with_constraint(name: str, kind: str, names: tuple[str, ...], subject: str | None = None) -> Schema:
    """Our schema with one more constraint on a frame type."""
    frame = OURS.frames[name]
    constraint = Constraint(kind, subject, names, "frame.size", frame.place)
    changed = replace(frame, constraints=(*frame.constraints, constraint))
    messages = {
        key: replace(
            message,
            parts=tuple(replace(part, frame=changed) if part.frame is frame else part for part in message.parts),
        )
        for key, message in OURS.messages.items()
    }
    return replace(OURS, frames={**OURS.frames, name: changed}, messages=messages)


FORBIDDEN = "{!r} can be sent {}, which its constraints forbid"


@pytest.mark.parametrize(
    ("name", "kind", "names", "subject", "told"),
    [
        ("bytes-response", "none-of", ("stream-end",), None, FORBIDDEN.format("bytes-response", "with stream-end")),
        ("bytes-response", "none-of", ("stream-begin",), None, FORBIDDEN.format("bytes-response", "with stream-begin")),
        (
            "bytes-response",
            "requires",
            ("stream-end",),
            "eos",
            FORBIDDEN.format("bytes-response", "without opening or closing a stream"),
        ),
        (
            "error-response",
            "forbids",
            ("stream-end",),
            "protocol",
            FORBIDDEN.format("error-response", "with stream-end"),
        ),
        (
            "bytes-response",
            "even",
            ("length",),
            None,
            "builders of 'bytes-response' encode payloads of any length, but a constraint requires an even length",
        ),
        (
            "error-response",
            "odd",
            ("request_id",),
            None,
            "'error-response' is sent with request id 0, but a constraint requires an id that is odd",
        ),
        (
            "stream-settings",
            "even",
            ("request_id",),
            None,
            "'stream-settings' is sent with the request ids of commands, but a constraint requires an id that is even",
        ),
        ("stream-settings", "odd", ("request_id",), None, None),
        ("error-response", "none-of", ("encoded",), None, FORBIDDEN.format("error-response", "with encoded")),
        ("stream-settings", "none-of", ("encoded",), None, None),
    ],
)
def test_builders_look_at_no_other_constraints(
    name: str, kind: str, names: tuple[str, ...], subject: str | None, told: str | None
) -> None:
    assert found(with_constraint(name, kind, names, subject)) == ([] if told is None else [told])
