"""Emits the functions that check the header of a frame, and decode its payload by the type of the frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgproto.emit.framing import CHECK_TYPE
from hgproto.emit.line_breaks import Group, flat
from hgproto.emit.tables import part
from hgproto.emit.text import docstring, literal, mask, snake, upper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgproto.language.model import Constraint, FrameType, Limit, PayloadCase, Schema

__all__ = ["check_header", "decode_payload", "expected_of", "expected_stream", "masks_of"]


def check_header(schema: Schema) -> list[str]:
    """Returns the lines of the function that checks a header."""
    stream_mask = sum(flag.mask for flag in schema.stream_flags)
    offsets = {name: schema.header.locate(name)[0] for name in ("type", "flags", "stream_flags", "stream_id")}
    unknown = {name: literal(schema.header.rules(name)["unknown"]) for name in ("type", "flags", "stream_flags")}
    expected = literal(f"a type that {schema.revision} defines")

    def raised(name: str, expected: str, found: str) -> str:
        return f"        {_raise(unknown[name], str(offsets[name]), literal(name), expected, found)}"

    lines = [
        "def check_header(frame: Frame) -> None:",
        *docstring(
            "Raises :class:`RemoteProtocolError` for the first requirement on a single frame that the header violates.\n\n"
            "Offsets count from the start of the frame."
        ),
        *CHECK_TYPE,
        "    code, flags, stream_flags = int(frame.type), int(frame.flags), int(frame.stream_flags)",
        "    if code not in TYPE_NAMES:",
        raised("type", expected, "hex(code)"),
        f"    if stream_flags & ~{mask(stream_mask)}:",
        f"        found = text_of_flags(stream_flags & ~{mask(stream_mask)}, {{}})",
        raised("stream_flags", '"only known bits"', "found"),
        "    names = FLAG_NAMES[code]",
        "    if flags & ~sum(names):",
        "        found = text_of_flags(flags & ~sum(names), {})",
        raised("flags", '"only known bits"', "found"),
    ]
    for constraint in schema.stream_constraints:
        lines += _constraint(constraint, schema, None)
    keyword = "if"
    parity = schema.header.parity("stream_id") or {}
    odd_side = parity.get("odd")
    for frame in schema.frames_by_code.values():
        body: list[str] = []
        if frame.sender is not None:
            broken = "not frame.stream_id & 1" if frame.sender == odd_side else "frame.stream_id & 1"
            wanted = literal(expected_stream(frame.sender, schema))
            requirement, found = literal(str(frame.sender_requirement)), "str(frame.stream_id)"
            body += [
                f"if {broken}:",
                f"    {_raise(requirement, str(offsets['stream_id']), literal('stream_id'), wanted, found)}",
            ]
        for constraint in frame.constraints:
            body += [line[4:] for line in _constraint(constraint, schema, frame)]
        if body:
            lines += [f"    {keyword} code == {mask(frame.code)}:", *(f"        {line}" for line in body)]
            keyword = "elif"
    return lines


def expected_stream(sender: str, schema: Schema) -> str:
    """Returns the expected stream of a frame that only one side sends, in the words of an error."""
    parity = schema.header.parity("stream_id") or {}
    return f"a stream of the {sender}, which is {'odd' if sender == parity.get('odd') else 'even'}"


def expected_of(constraint: Constraint) -> str:
    """Returns the expected value of a violated constraint, in the words of an error."""
    listed = " and ".join(constraint.names)
    match constraint.kind:
        case "odd" | "even":
            return f"an {constraint.kind} number"
        case "exactly-one-of" | "at-most-one-of" | "at-least-one-of":
            return f"{constraint.kind.replace('-', ' ')} {listed}"
        case "all-of":
            return listed
        case "none-of":
            return f"neither of {listed}" if len(constraint.names) > 1 else f"no {listed}"
        case "forbids":
            return f"{constraint.subject} without {' or '.join(constraint.names)}"
        case _:
            return f"{constraint.subject} only with {listed}"


def _raise(*arguments: str) -> str:
    return f"raise RemoteProtocolError({', '.join(arguments)})"


def _constraint(constraint: Constraint, schema: Schema, frame: FrameType | None) -> list[str]:
    """Returns the lines of an ``if`` with a ``raise``, indented by 4."""
    if constraint.is_about_fields:
        lines = []
        for name in constraint.names:
            value = "len(frame.payload)" if name == "length" else f"frame.{name}"
            broken = f"not {value} & 1" if constraint.kind == "odd" else f"{value} & 1"
            arguments = [
                literal(constraint.requirement),
                str(schema.header.locate(name)[0]),
                literal(name),
                literal(expected_of(constraint)),
                f"str({value})",
            ]
            lines += [f"    if {broken}:", f"        {_raise(*arguments)}"]
        return lines
    field, condition = _constraint_parts(constraint, schema, frame)
    own, of_stream = masks_of(constraint, schema, frame)
    if own and of_stream:
        offsets = ", ".join(f'"{name}": {schema.header.locate(name)[0]}' for name in ("flags", "stream_flags"))
        masks, requirement = f"({mask(own)}, {mask(of_stream)})", literal(constraint.requirement)
        return [
            f"    if {condition}:",
            f"        field, found = flags_of_both((flags, stream_flags), {masks}, (names, STREAM_FLAG_NAMES))",
            f"        {_raise(requirement, f'{{{offsets}}}[field]', 'field', literal(expected_of(constraint)), 'found')}",
        ]
    names = "STREAM_FLAG_NAMES" if field == "stream_flags" else "names"
    offset = schema.header.locate(field)[0]
    arguments = [literal(constraint.requirement), str(offset), literal(field), literal(expected_of(constraint))]
    return [
        f"    if {condition}:",
        f"        {_raise(*arguments, f'text_of_flags({field}, {names})')}",
    ]


def masks_of(constraint: Constraint, schema: Schema, frame: FrameType | None) -> tuple[int, int]:
    """Returns the masks of the flags in a constraint: those of the frame type, and those of the stream."""
    names = {*constraint.names, constraint.subject}
    own = () if frame is None else frame.flags
    return (
        sum(flag.mask for flag in own if flag.name in names),
        sum(flag.mask for flag in schema.stream_flags if flag.name in names),
    )


def _constraint_parts(constraint: Constraint, schema: Schema, frame: FrameType | None) -> tuple[str, str]:
    """Returns the header field to report for a constraint on flags, and the condition for a violation."""
    stream = {flag.name: flag.mask for flag in schema.stream_flags}
    own = {flag.name: flag.mask for flag in frame.flags} if frame is not None else {}

    def masked(names: Sequence[str]) -> list[tuple[str, int]]:
        in_stream = sum(stream.get(name, 0) for name in names)
        in_frame = sum(own.get(name, 0) for name in names)
        return [(variable, bits) for variable, bits in (("flags", in_frame), ("stream_flags", in_stream)) if bits]

    groups = masked(constraint.names)
    field = groups[-1][0]
    any_set = " or ".join(f"{variable} & {mask(bits)}" for variable, bits in groups)
    one_set = f"({any_set})" if len(groups) > 1 else any_set
    count = " + ".join(f"({variable} & {mask(bits)}).bit_count()" for variable, bits in groups)
    not_all = " or ".join(f"{variable} & {mask(bits)} != {mask(bits)}" for variable, bits in groups)
    match constraint.kind:
        case "exactly-one-of":
            return field, f"{count} != 1"
        case "at-most-one-of":
            return field, f"{count} > 1"
        case "at-least-one-of":
            return field, f"not {one_set}"
        case "all-of":
            return field, not_all
        case "none-of":
            return field, any_set
    ((variable, bits),) = masked([str(constraint.subject)])
    subject = f"{variable} & {mask(bits)}"
    if constraint.kind == "forbids":
        return field, f"{subject} and {one_set}"
    not_all = f"({not_all})" if len(groups) > 1 else not_all
    return field, f"{subject} and {not_all}"


def _interrupts(schema: Schema) -> list[str]:
    """Returns the lines of the table ``INTERRUPTS``."""
    frames = schema.frames_by_code.values()
    items = []
    for frame in frames:
        if frame.continued_by is not None:
            others = [f for f in frames if f is not frame and f.sender is not None and f.sender == frame.sender]
            codes = f"{{{', '.join(mask(f.code) for f in others)}}}" if others else ""
            items.append(f"{mask(frame.code)}: frozenset({codes})")
    head = "INTERRUPTS: dict[int, frozenset[int]] = {"
    return [head, *(f"    {item}," for item in items), "}"] if items else [f"{head}}}"]


def _joins(schema: Schema) -> list[str]:
    """Returns the lines of a table with the frame types whose payloads form a structure together."""
    items: list[str | Group] = []
    for frame in schema.frames_by_code.values():
        if frame.joins is None:
            continue
        masks = {flag.role: flag.mask for flag in frame.flags}
        names = ["None" if name is None else literal(name) for name in (frame.joins.limit, frame.joins.order)]
        values = [literal(frame.joins.structure.name), mask(masks["more"]), mask(masks.get("continues", 0)), *names]
        items.append(Group(f"{mask(frame.code)}: Join(", [*values]))
    annotation = "dict[int, Join]" if items else "dict[int, Any]"
    return [flat(Group(f"JOINS: {annotation} = {{", items, "}"))]


def decode_payload(schema: Schema) -> list[str]:
    """Returns the lines of the table of payload cases, and of the function that decodes a payload."""
    lines = [
        "PAYLOADS: dict[int, tuple[tuple[int, int, str], ...]] = {",
    ]
    for frame in schema.frames_by_code.values():
        cases = Group(f"{mask(frame.code)}: (", [_case(case, frame) for case in frame.payload])
        lines.append(f"    {flat(cases)},")
    lines += [
        "}",
        *docstring(
            "For each frame type, the cases of its payload; the first case that applies is used. A case has the flag that must be "
            "set, the flag that the previous frame must have (0 for none), and the structure. ``ascii``, ``utf8``, and ``bytes`` "
            "stand for a single field.",
            0,
        ),
        *_interrupts(schema),
        *docstring(
            "For each frame type that can continue its previous frame, the types whose frames of the same request prevent that.",
            0,
        ),
        *_joins(schema),
        *docstring(
            "The structures that the payloads of several frames form together, by the frame type.",
            0,
        ),
        "",
        "",
        f"def decode_payload(frame: Frame, continued: bool = False{_limit(schema)}) -> Any:",
        *docstring(
            "Returns the value of a frame's payload: a record, a string, or bytes.\n\n"
            "``continued``: True if this frame continues the previous frame of its request and type."
            f"{_limit_doc(schema)}\n\nReturns encoded payloads, and those of unknown types, unchanged. Raises "
            ":class:`RemoteProtocolError` with offsets from the start of the payload."
        ),
        *CHECK_TYPE,
        "    payload = frame.payload if type(frame.payload) is bytes else as_bytes(frame.payload)",
    ]
    encoded = next((flag.mask for flag in schema.stream_flags if flag.role == "encoded"), 0)
    if encoded:
        lines += [f"    if int(frame.stream_flags) & {mask(encoded)}:", "        return payload"]
    branches: list[str] = []
    for frame in schema.frames_by_code.values():
        branches.append(f"    if code == {mask(frame.code)}:")
        for number, case in enumerate(frame.payload):
            branches += [f"        {line}" for line in _payload_case(case, number, frame)]
    asks = any(case.when is not None for frame in schema.frames.values() for case in frame.payload)
    numbers = "code, flags = int(frame.type), int(frame.flags)" if asks else "code = int(frame.type)"
    return [*lines, f"    {numbers}", *branches, "    return payload", *_text_payloads(schema)]


def items_limit(schema: Schema) -> Limit | None:
    """Returns the limit on items, which all structures of a schema share; None if there is none."""
    names = [structure.limit for structure in schema.structures.values() if structure.limit is not None]
    return schema.limits[names[0]] if names else None


def _limit(schema: Schema) -> str:
    """Returns the parameter for the limit on items."""
    limit = items_limit(schema)
    return f", max_items: int = {0 if limit is None else limit.default}"


def _limit_doc(schema: Schema) -> str:
    is_limited = items_limit(schema) is not None
    return (
        " ``max_items``: the limit on the items of its structure." if is_limited else " ``max_items``: has no effect."
    )


def _case(case: PayloadCase, frame: FrameType) -> str:
    masks = {flag.name: flag.mask for flag in frame.flags}
    kind = case.structure.name if case.structure is not None else str(case.field and case.field.type)
    return f"({mask(masks.get(case.when or '', 0))}, {mask(masks.get(case.after or '', 0))}, {literal(kind)})"


def _payload_case(case: PayloadCase, number: int, frame: FrameType) -> list[str]:
    masks = {flag.name: flag.mask for flag in frame.flags}
    tests = []
    if case.when is not None:
        tests.append(f"flags & {mask(masks[case.when])}")
    if case.after is not None:
        tests.append("continued")
    if case.structure is not None:
        most = "" if case.structure.limit is None else ", max_items"
        value = f"decode_{snake(case.structure.name)}(payload{most})"
    elif case.field is not None and case.field.type != "bytes":
        value = f"_decode_text({_text_table(number, frame)}, payload)"
    else:
        value = "payload"
    if tests:
        return [f"if {' and '.join(tests)}:", f"    return {value}"]
    return [f"return {value}"]


def _text_table(number: int, frame: FrameType) -> str:
    return f"_{upper(frame.name)}_PAYLOAD{f'_{number + 1}' if number else ''}"


def _text_payloads(schema: Schema) -> list[str]:
    """Returns the lines of the tables of payloads that are one string, and of the function that decodes them."""
    lines: list[str] = []
    for frame in schema.frames_by_code.values():
        for number, case in enumerate(frame.payload):
            if case.field is not None and case.field.type != "bytes":
                parts = Group("(", [part(case.field)])
                arguments: list[str | Group] = [literal(frame.name), literal(case.field.doc), "{}", parts]
                lines.append(flat(Group(f"{_text_table(number, frame)} = Layout(", arguments)))
    if not lines:
        return []
    return [
        "",
        "",
        *lines,
        "",
        "",
        "def _decode_text(layout: Layout, payload: bytes) -> str:",
        *docstring("Decodes a payload that is one string."),
        "    part = layout.parts[0]",
        "    try:",
        '        text = payload.decode("ascii" if part.type == "ascii" else "utf-8")',
        "    except UnicodeDecodeError:",
        "        raise fault(layout, payload) from None",
        '    if not text and "empty" in part.rules:',
        "        raise fault(layout, payload)",
        "    return text",
    ]
