"""Checks a schema beyond its shape, with proofs over the model.

Bit fields fill their integers, and neither they nor flags overlap. Sizes and counts refer to earlier fields. The rows of a
state are disjoint, and every state is reachable. Every event and action is used. Every requirement is enforced where it says,
and everything that can be rejected names its requirement. :mod:`hgproto.evidence.prove` checks the examples, because that
needs emitted code.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from hgproto.errors import counted
from hgproto.language.cbor_types import needed_rules
from hgproto.language.constraints import allowed_flags, constraint_problems
from hgproto.language.events import event_problems
from hgproto.language.messages import message_problems
from hgproto.language.model import INTEGERS, STRINGS, fitting_rules
from hgproto.language.names import LENGTH_LIMIT, SEND_LIMIT
from hgproto.language.problems import Problem
from hgproto.language.resolve import HEADER_FIELDS
from hgproto.language.roles import repeated_roles, role_problems
from hgproto.language.rows import machine_problems
from hgproto.runtime.cbor_values import MAX_DEPTH
from hgproto.runtime.shapes import MAJORS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hgproto.language.cbor_types import CborEntry
    from hgproto.language.model import BitField, Field, Flag, FrameType, Schema, Structure

__all__ = ["allowed_flags", "check"]


def check(schema: Schema) -> list[Problem]:
    """Returns every fault of ``schema`` in order of place; the list is empty if the schema is consistent."""
    header = list(_header(schema))
    if any(bits.high < bits.low for field in schema.header.fields for bits in field.bits):
        # The other checks count these bits, and cannot count a negative number of them.
        return sorted(set(header))
    flags = [
        *_flags(schema.stream_flags, "stream_flags", schema),
        *(p for frame in schema.frames.values() for p in _flags(frame.flags, "flags", schema)),
    ]
    codes = list(_codes(schema))
    cases = (case for frame in schema.frames.values() for case in frame.payload)
    payloads = {case.structure.name for case in cases if case.structure is not None}
    problems = [
        *header,
        *flags,
        *codes,
        *_frames(schema),
        *_items_limits(schema),
        *(p for structure in schema.structures.values() for p in _structure(structure, schema, payloads)),
        *_requirements(schema),
        *_limits(schema),
        *_windows(schema),
        *event_problems(schema),
        *(p for frame in schema.frames.values() for p in _joins(frame, schema)),
    ]
    if not flags and not codes:
        # These checks try all combinations of flags of all types. Without faults, one byte bounds their number.
        allowed = {frame.name: allowed_flags(frame, schema) for frame in schema.frames.values()}
        constraints = list(constraint_problems(schema, allowed))
        problems += constraints
        problems += (p for frame in schema.frames.values() for p in _cases(frame, allowed[frame.name]))
        if not constraints:
            problems += machine_problems(schema, allowed)
    # A faulty part would also be reported for its role, and a part that does not fit its role for its messages.
    problems = problems or list(role_problems(schema))
    return sorted(set(problems or message_problems(schema)))


# The header and its bits.


def _header(schema: Schema) -> Iterator[Problem]:
    header = schema.header
    for field in header.fields[:-1]:
        if field.fixed_size is None or field.is_array:
            yield Problem(field.place, f"the header field {field.name!r} is not an integer", "use u8, u16, u24 or u32")
        for rule in ("cut", "overflow"):
            if rule not in field.rules:
                yield _missing_rule(field, rule)
        if field.bits and field.fixed_size is not None:
            yield from _bit_fields(field.bits, field.fixed_size * 8, field)
            if {bits.name for bits in field.bits} != {"type", "flags"}:
                yield Problem(field.place, "only type and flags are bit fields", "give the others bytes of their own")
    payload = header.fields[-1]
    if "cut" not in payload.rules:
        yield _missing_rule(payload, "cut")
    for field in header.fields:
        keys, rules = _HEADER_KEYS.get(field.name, set()), {"cut", "overflow"} | _HEADER_RULES.get(field.name, set())
        yield from _idle(field, keys, rules if field is not payload else {"cut"})
        for bits in field.bits:
            for rule in bits.rules.keys() - {"unknown"}:
                yield Problem(bits.place, f"the rule {rule!r} does not apply to {bits.name!r}", "remove it")
    for field in header.fields:
        for name in [b.name for b in field.bits] or [field.name]:
            if name not in HEADER_FIELDS:
                advice = f"use {', '.join(HEADER_FIELDS)}"
                yield Problem(field.place, f"unknown header field {name!r}", advice)
    if not any({"type", "flags"} <= {bits.name for bits in field.bits} for field in header.fields):
        yield Problem(header.place, "type and flags are not bit fields of one integer", "declare them in one `bits:`")
        return
    if any(f.fixed_size != 1 for f in header.fields if f.bits or f.name == "stream_flags"):
        yield Problem(header.place, "flags are longer than one byte", "use u8 for them")
    length = next((f for f in header.fields if f.name == "length"), None)
    if length is not None and (length.limit != LENGTH_LIMIT or "limit" not in length.rules):
        advice = f"add `limit: {LENGTH_LIMIT}` and `rules: {{limit: ...}}`"
        yield Problem(length.place, f"the length has no limit {LENGTH_LIMIT!r}", advice)
    elif length is not None and schema.limits[LENGTH_LIMIT].maximum >= 1 << 8 * (length.fixed_size or 4):
        place, most = schema.limits[LENGTH_LIMIT].place, (1 << 8 * (length.fixed_size or 4)) - 1
        yield Problem(place, f"the maximum of {LENGTH_LIMIT!r} is greater than {most}, the highest length", "lower it")
    for name in ("type", "flags", "stream_flags"):
        if "unknown" not in header.rules(name):
            yield Problem(
                header.locate(name)[1].place, f"{name!r} has no rule for unknown values", "add `rules: {unknown: ...}`"
            )
    parity = header.parity("stream_id")
    if parity is None or parity["odd"] == parity["even"]:
        advice = "give stream_id a `parity:` that assigns odd numbers to one side and even numbers to the other"
        yield Problem(header.locate("stream_id")[1].place, "the stream id does not identify the sender", advice)


_HEADER_KEYS = {"length": {"limit"}, "request_id": {"order"}, "stream_id": {"parity"}, "payload": {"size"}}
_HEADER_RULES = {"length": {"limit"}, "stream_flags": {"unknown"}}


def _idle(field: Field, keys: Collection[str], rules: Collection[str]) -> Iterator[Problem]:
    """Yields a fault for each key and rule that has no effect on a field."""
    for key in ("size", "count", "sizes", "at_most", "show", "limit", "parity", "order", "repeat"):
        if getattr(field, key) and key not in keys:
            kind = f"of type `{field.type}`" + ("" if field.size is None else f" and size `{field.size}`")
            advice = "remove it"
            if key == "at_most":
                advice += ": only `type: bytes` with `size: rest` in a structure can have a bound"
            yield Problem(field.place, f"`{key}` does not apply to {field.name!r} {kind}", advice)
    for rule in field.rules:
        if rule not in rules:
            yield Problem(field.place, f"the rule {rule!r} does not apply to {field.name!r}", "remove it")


def _bit_fields(fields: tuple[BitField, ...], width: int, owner: Field) -> Iterator[Problem]:
    taken: dict[int, str] = {}
    for field in fields:
        if field.low > field.high:
            yield Problem(field.place, f"bits {field.low} to {field.high} are not a range", "put the lower bit first")
        if field.high >= width:
            yield Problem(
                field.place,
                f"bit {field.high} is outside the {counted(width, 'bit')} of {owner.type}",
                "correct `bits`",
            )
        for bit in range(field.low, field.high + 1):
            if bit in taken:
                yield Problem(field.place, f"{field.name!r} overlaps {taken[bit]!r} at bit {bit}", "correct `bits`")
            taken.setdefault(bit, field.name)
    free = [bit for bit in range(width) if bit not in taken]
    if free:
        yield Problem(
            owner.place, f"bit {free[0]} of {owner.type} is in no bit field", "fill the bytes with bit fields"
        )


def _flags(flags: tuple[Flag, ...], field_name: str, schema: Schema) -> Iterator[Problem]:
    _, field, bits = schema.header.locate(field_name)
    width = bits.width if bits is not None else 8 * (field.fixed_size or 1)
    taken: dict[int, str] = {}
    for flag in flags:
        if flag.bit >= width:
            yield Problem(
                flag.place, f"bit {flag.bit} is outside the {counted(width, 'bit')} of {field_name}", "use a lower bit"
            )
        if flag.bit in taken:
            yield Problem(flag.place, f"{flag.name!r} overlaps {taken[flag.bit]!r} at bit {flag.bit}", "use a free bit")
        taken.setdefault(flag.bit, flag.name)
    yield from repeated_roles(flags)
    if [f.bit for f in flags] != sorted(f.bit for f in flags):
        yield Problem(flags[0].place, "the flags are not in the order of their bits", "put the lowest bit first")


# Frame types.


def _codes(schema: Schema) -> Iterator[Problem]:
    codes: dict[int, str] = {}
    _, _, bits = schema.header.locate("type")
    highest = (1 << bits.width) - 1 if bits is not None else 255
    for frame in schema.frames.values():
        if frame.code in codes:
            yield Problem(frame.place, f"{frame.name!r} has the code of {codes[frame.code]!r}", "use a free code")
        codes.setdefault(frame.code, frame.name)
        if frame.code > highest:
            yield Problem(frame.place, f"the code {frame.code} is greater than {highest}", "use a lower code")


def _frames(schema: Schema) -> Iterator[Problem]:
    stream_names = {flag.name for flag in schema.stream_flags}
    yield from repeated_roles(schema.frames.values())
    for frame in schema.frames.values():
        for flag in frame.flags:
            if flag.name in stream_names:
                yield Problem(flag.place, f"{flag.name!r} is a stream flag too", "rename it")
        after = dict.fromkeys(case.after for case in frame.payload if case.after is not None)
        if len(after) > 1:
            place = next(case.place for case in frame.payload if case.after == list(after)[1])
            yield Problem(
                place, f"a frame is continued after {' and after '.join(map(repr, after))}", "use one flag for that"
            )
        for case in frame.payload[:-1]:
            if case.when is None and case.after is None:
                yield Problem(case.place, "the cases after this one never apply", "put it last")
        last = frame.payload[-1]
        if last.when is not None or last.after is not None:
            yield Problem(
                last.place,
                "there is no case for frames to which this one does not apply",
                "add a last case without a condition",
            )
        for case in frame.payload:
            if case.field is not None:
                fitting = fitting_rules(case.field.type, "rest", None, repeat=False)
                yield from _idle(case.field, {"size"}, fitting)
                if "charset" in fitting and "charset" not in case.field.rules:
                    yield _missing_rule(case.field, "charset")
        if not any(example.refused for example in frame.examples):
            yield Problem(
                frame.place,
                f"{frame.name!r} has no example with `refused`",
                "add a rejected payload, and name its requirement",
            )


def _joins(frame: FrameType, schema: Schema) -> Iterator[Problem]:
    """Yields the problems of the structure that the payloads of several frames form together."""
    if frame.joins is None:
        return
    if not frame.joins.structure.is_cbor:
        message = f"{frame.joins.structure.name!r} does not show where it ends"
        yield Problem(frame.joins.place, message, "use a structure with `entries` or a `sequence`")
    limit = None if frame.joins.limit is None else schema.limits.get(frame.joins.limit)
    if limit is not None and limit.unit != "bytes":
        message = f"`joins` of {frame.name!r} has a limit in {limit.unit}"
        yield Problem(frame.joins.place, message, "name a limit in bytes")
    whole = frame.payload[-1].structure
    if whole is not None and whole is not frame.joins.structure:
        message = f"a frame with all of {frame.joins.structure.name!r} would have the payload {whole.name!r}"
        yield Problem(frame.joins.place, message, "name the same structure in both places")
    continues = any(flag.role == "continues" for flag in frame.flags)
    if continues != (frame.joins.order is not None):
        advice = "add `role: continues` to it" if frame.joins.order is not None else "add `order: ...`"
        message = f"`joins` of {frame.name!r} needs both: the requirement for the order, and a flag that continues"
        yield Problem(frame.joins.place, message, advice)
    if not any(flag.role == "more" for flag in frame.flags):
        message = f"no flag of {frame.name!r} shows that more frames follow"
        yield Problem(frame.joins.place, message, "add `role: more` to a flag")


def _cases(frame: FrameType, allowed: list[frozenset[str]]) -> Iterator[Problem]:
    """Yields a fault for each payload case that no frame can have: flags forbid it, or earlier cases always apply."""
    taken = set()
    for flags, continued in product(allowed, (False, True) if frame.continued_by else (False,)):
        for number, case in enumerate(frame.payload):
            if (case.when is None or case.when in flags) and (case.after is None or continued):
                taken.add(number)
                break
    unconditional = next((i for i, case in enumerate(frame.payload) if case.when is None and case.after is None), None)
    for number, case in enumerate(frame.payload):
        if number not in taken and (unconditional is None or number <= unconditional) and allowed:
            advice = "put it before them, or remove it"
            yield Problem(case.place, "the case never applies: earlier cases do, or its flag is not allowed", advice)


# Structures.


def _structure(structure: Structure, schema: Schema, payloads: Collection[str]) -> Iterator[Problem]:
    if structure.is_cbor:
        kind = "sequence" if structure.is_sequence else "map"
        for rule in needed_rules(structure.entries, is_sequence=structure.is_sequence):
            if rule not in structure.rules:
                yield Problem(structure.place, f"the CBOR {kind} has no rule {rule!r}", f"add `rules: {{{rule}: ...}}`")
        for entry in structure.entries:
            levels = entry.type.levels + (not structure.is_sequence)
            if levels > MAX_DEPTH:
                message = (
                    f"{entry.name!r} has {counted(levels, 'level')} of nesting, and a payload has at most {MAX_DEPTH}"
                )
                yield Problem(entry.place, message, "use a flatter type")
            yield from _cbor_type(entry)
        return
    earlier: dict[str, Field] = {}
    for field in structure.fields:
        yield from _field(field, earlier, structure, schema)
        earlier[field.name] = field
    for field in structure.fields[:-1]:
        if field.size == "rest" or field.repeat:
            yield Problem(
                field.place,
                f"nothing can follow {field.name!r}, which extends to the end of the payload",
                "put it last",
            )
    if structure.name in payloads and not _takes_rest(structure) and "surplus" not in structure.rules:
        message = f"{structure.name!r} has no rule 'surplus' for bytes after it"
        yield Problem(structure.place, message, "add `rules: {surplus: ...}`")


def _cbor_type(entry: CborEntry) -> Iterator[Problem]:
    for part in entry.type.inner:
        if part.name == "map-of" and part.parts[0].name not in ("ascii", "bytes", "int", "uint"):
            advice = "use ascii, bytes, int, or uint"
            yield Problem(entry.place, f"the keys of a map cannot be of the type {part.parts[0].name}", advice)
        if part.name == "ascii" and not all(choice.isascii() for choice in part.choices):
            choice = next(choice for choice in part.choices if not choice.isascii())
            yield Problem(entry.place, f"the choice {choice!r} is not ASCII", "use another word, or `type: text`")
        if part.name == "one-of":
            kinds = [MAJORS.get(option.name, frozenset()) for option in part.parts]
            if any(one & other for index, one in enumerate(kinds) for other in kinds[:index]) or not all(kinds):
                advice = "keep only one of those that accept the same items, and do not put a `one-of` into another"
                yield Problem(entry.place, f"some options of {part} accept the same items", advice)


def _items_limits(schema: Schema) -> Iterator[Problem]:
    """Yields the faults of the limits on the items of payloads."""
    first = next((one for one in schema.structures.values() if one.limit is not None), None)
    for structure in schema.structures.values():
        yield from _items_limit(structure, first)


def _items_limit(structure: Structure, first: Structure | None) -> Iterator[Problem]:
    """Yields the faults of one structure's limit. ``first``: the first structure that has a limit."""
    if structure.limit is None:
        if structure.is_cbor and "limit" in structure.rules:
            yield Problem(structure.place, "the rule 'limit' has no effect without a limit", "add `limit: ...`")
        return
    if not structure.is_cbor and not structure.fields[-1].repeat:
        advice = "remove it: only CBOR and a structure that repeats another one can have any number of items"
        yield Problem(structure.place, f"the limit {structure.limit!r} does not apply to {structure.name!r}", advice)
    if "limit" not in structure.rules:
        yield Problem(structure.place, f"{structure.name!r} has no rule 'limit'", "add `rules: {limit: ...}`")
    if first is not None and first.limit != structure.limit:
        advice = f"use {first.limit!r}: all payloads have the same limit on their items"
        yield Problem(structure.place, f"the limit {structure.limit!r} differs from that of {first.name!r}", advice)


def _takes_rest(structure: Structure) -> bool:
    return structure.is_cbor or structure.fields[-1].size == "rest" or structure.fields[-1].repeat


def _repeated(field: Field, structure: Structure) -> Iterator[Problem]:
    if _takes_rest(structure):
        advice = "repeat a structure whose fields determine its size"
        yield Problem(
            field.place, f"{structure.name!r} extends to the end of the payload, so it cannot be repeated", advice
        )
    if "surplus" in structure.rules:
        advice = f"remove the rule, or give {field.name!r} a structure of its own"
        yield Problem(
            field.place, f"{structure.name!r} is repeated, but has the rule 'surplus' for bytes after it", advice
        )


def _field(field: Field, earlier: dict[str, Field], structure: Structure, schema: Schema) -> Iterator[Problem]:
    if field.bits and field.fixed_size is not None:
        yield Problem(field.place, "only the header can have bit fields", "use a whole integer")
    is_string, is_structure = field.type in STRINGS, field.type in schema.structures
    if is_string and (field.size is None) == (field.sizes is None):
        yield Problem(field.place, f"{field.name!r} needs `size` or `sizes`", "add exactly one of them")
    if is_structure and not field.repeat:
        yield Problem(
            field.place, f"{field.name!r} holds a structure that is not repeated", "add `repeat`, or use `embed`"
        )
    elif is_structure:
        yield from _repeated(field, schema.structures[field.type])
    if field.fixed_size is not None and field.is_array and field.sized_by is None:
        advice = "refer to it by `sizes` of a later field; an array of numbers cannot be a value yet"
        yield Problem(field.place, f"no later field uses the array {field.name!r} for its sizes", advice)
    keys = {"repeat"} if is_structure else {"size", "sizes"} if is_string else {"count", "show"}
    if field.type == "bytes" and field.size == "rest":
        keys.add("at_most")
    yield from _idle(field, keys, fitting_rules(field.type, field.size, field.at_most, repeat=field.repeat))
    for key, giver in (
        ("size", field.size),
        ("count", field.count),
        ("sizes", field.sizes),
        ("at_most", field.at_most),
    ):
        if giver is None or (key == "size" and giver == "rest"):
            continue
        if giver not in earlier:
            advice = f"use one of: {', '.join(earlier)}" if earlier else "put an integer field before it"
            message = f"`{key}` of {field.name!r} names {giver!r}, which is not an earlier field"
            yield Problem(field.place, message, advice)
            continue
        source = earlier[giver]
        if source.type not in INTEGERS or source.is_array != (key == "sizes"):
            yield Problem(
                field.place,
                f"`{key}` of {field.name!r} names {giver!r}, which has another type",
                f"name {'an array of integers' if key == 'sizes' else 'a single integer'}",
            )
        elif key == "at_most" and source.sized_by is not None:
            message = f"`at_most` of {field.name!r} names {giver!r}, which the encoder computes"
            yield Problem(field.place, message, "name a field that is not the size or count of another")
        elif key != "at_most" and source.sized_by != field.name:
            yield Problem(
                field.place,
                f"{giver!r} is already the size or count of {source.sized_by!r}",
                "add another integer field",
            )
    fits = {
        "cut": field.size != "rest" and not field.repeat,
        "charset": field.type in ("ascii", "utf8"),
        "overflow": (field.size != "rest" and is_string) or (field.fixed_size is not None and field.sized_by is None),
        "surplus": field.at_most is not None and "at_most" in keys and "surplus" not in structure.rules,
    }
    for rule, needed in fits.items():
        if needed and rule not in field.rules:
            yield _missing_rule(field, rule)


def _missing_rule(field: Field, rule: str) -> Problem:
    return Problem(field.place, f"{field.name!r} has no rule {rule!r}", f"add `rules: {{{rule}: ...}}`")


# Requirements and limits.


def _requirements(schema: Schema) -> Iterator[Problem]:
    for requirement in schema.requirements.values():
        kinds = {reference.kind for reference in schema.references.get(requirement.id, ())}
        if requirement.enforced == "manual":
            if kinds:
                yield Problem(
                    requirement.place,
                    f"{requirement.id!r} has `enforced: {requirement.enforced}`, but the {sorted(kinds)[0]} enforces it",
                    f"write `enforced: {sorted(kinds)[0]}`",
                )
        elif requirement.enforced not in kinds:
            yield Problem(
                requirement.place,
                f"nothing in the {requirement.enforced} enforces {requirement.id!r}",
                "name it where it applies, or write `enforced: manual` with a reason",
            )


def _limits(schema: Schema) -> Iterator[Problem]:
    for limit in schema.limits.values():
        if limit.default > limit.maximum:
            yield Problem(
                limit.place, f"the default of {limit.name!r} is greater than its maximum", "correct one of them"
            )
    sent, accepted = schema.limits.get(SEND_LIMIT), schema.limits.get(LENGTH_LIMIT)
    if sent is not None and accepted is not None and sent.default > accepted.default:
        message = f"the default of {SEND_LIMIT!r} is greater than {accepted.default}, the default of {LENGTH_LIMIT!r}"
        yield Problem(sent.place, message, "lower it, since receivers reject a longer payload")


def _windows(schema: Schema) -> Iterator[Problem]:
    for profile in schema.profiles.values():
        window = profile.window
        if window is None:
            continue
        if profile.algorithm != "zstd":
            advice = "remove it: only `algorithm: zstd` has a window"
            yield Problem(profile.place, f"`window` does not apply to {profile.name!r}", advice)
        elif window.bit_count() != 1:
            message = f"the window of {profile.name!r} is {window}, which is not a power of two"
            yield Problem(profile.place, message, f"use {1 << (window.bit_length() - 1)}")
