"""Payloads as Python literals, for the human form of revisions whose payloads are CBOR.

``cbor:{b'name': b'heads'}`` stands for the CBOR encoding of that value. A set stands for the CBOR tag of sets. What a literal
cannot show, such as the order of keys that are not sorted, is written with escapes instead.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from hgproto.errors import counted
from hgproto.runtime.cbor import (
    MAX_DEPTH,
    CborError,
    Chunks,
    Map,
    Simple,
    Tag,
    decode_item,
    encode_item,
    join_array,
    join_map,
    skip_item,
)
from hgproto.runtime.cbor_values import too_deep
from hgproto.runtime.subsets import ALL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgproto.runtime.definition import Codec
    from hgproto.runtime.frame import Frame

__all__ = ["LONGEST_LITERAL", "MOST_ITEMS", "literal_of", "payload_of"]

LONGEST_LITERAL = 1 << 20
"""The most characters of a literal. Python needs hundreds of bytes of memory for each."""
_SET = 258
"""The CBOR tag of sets."""
_SET_HEAD = b"\xd9\x01\x02"
_MOST_SHOWN = 40
_HEX = "[0-9a-fA-F]"
_RIGHT_ESCAPES = re.compile(
    rf"""\\(?:[\\'"abfnrtv]|[0-3]?[0-7]{{1,2}}|x{_HEX}{{2}}|u{_HEX}{{4}}|U{_HEX}{{8}}|N\{{[^}}]*\}})"""
)
_WRONG_ESCAPE = re.compile(r"\\.?", re.DOTALL)
MOST_ITEMS = 1 << 12
"""The most CBOR items of a payload that is shown as a literal. A longer one is shown with escapes."""


def payload_of(text: str, codec: Codec) -> bytes:
    """Returns the payload that a literal stands for. Raises :class:`ValueError` with the reason for other text.

    A key that occurs twice is written twice, as in the literal.
    """
    if len(text) > LONGEST_LITERAL:
        raise ValueError(f"{counted(len(text), 'character')}; write a long payload with escapes")
    try:
        if (escape := _WRONG_ESCAPE.search(_RIGHT_ESCAPES.sub("", text))) is not None:
            # Python would only warn, once for the whole process.
            raise ValueError(f"the unknown escape {escape[0]!r}")
        tree = ast.parse(text.strip(), mode="eval")
        return _encoded(tree.body, 0, alphabetical=_is_alphabetical(codec))
    except SyntaxError as error:
        raise ValueError(f"{error.msg or 'other text'} at character {error.offset or 1}") from None
    except (TypeError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(str(error) or "a value that is too deep") from None


def _encoded(node: ast.expr, depth: int, *, alphabetical: bool) -> bytes:
    """Returns the encoding of a literal. Raises :class:`TypeError` or :class:`ValueError` for other expressions."""
    if depth > MAX_DEPTH:
        raise too_deep("write")

    def inner(nodes: Iterable[ast.expr | None]) -> list[bytes]:
        return [_encoded(_present(each), depth + 1, alphabetical=alphabetical) for each in nodes]

    match node:
        case ast.Dict():
            return join_map(zip(inner(node.keys), inner(node.values), strict=True), alphabetical=alphabetical)
        case ast.List() | ast.Tuple():
            return join_array(inner(node.elts))
        case ast.Set():
            return _SET_HEAD + join_array(sorted(inner(node.elts)))
        case ast.Constant() if node.value is not Ellipsis:
            return encode_item(node.value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return encode_item(-number)
    raise ValueError(f"{ast.unparse(node)[:_MOST_SHOWN]!r}, which is no literal")


def _present(node: ast.expr | None) -> ast.expr:
    if node is None:
        raise ValueError("**, which is no literal")
    return node


def literal_of(frame: Frame, codec: Codec) -> str | None:
    """Returns the literal of a frame's payload, or None if the payload is not CBOR or no literal stands for its bytes."""
    code, payload = int(frame.type), bytes(frame.payload)
    structures = [name for _, _, name in codec.PAYLOADS.get(code, ())]
    if code not in codec.JOINS and not any(
        name in codec.LAYOUTS and codec.LAYOUTS[name].entries for name in structures
    ):
        return None
    try:
        end, _ = skip_item(payload, 0, 0, MOST_ITEMS) if len(payload) <= LONGEST_LITERAL else (-1, 0)
        if end != len(payload):
            return None
        value, _ = decode_item(payload)
        if encode_item(_new(value), alphabetical=_is_alphabetical(codec)) != payload:
            return None
    except (CborError, ValueError):
        return None
    return _text(value)


def _new(value: Any) -> Any:
    """Returns a decoded value as a literal builds it: maps in the order of the revision, and sets in that of their items."""
    match value:
        case dict():
            return {key: _new(item) for key, item in value.items()}
        case list():
            return [_new(item) for item in value]
        case Tag() if value.number == _SET and isinstance(value.item, list):
            return Tag(_SET, sorted(map(_new, value.item), key=encode_item))
    return value


def _is_alphabetical(codec: Codec) -> bool:
    subset = next((layout.subset for layout in codec.LAYOUTS.values() if layout.entries), ALL)
    return subset.alphabetical


def _text(value: Any) -> str | None:
    """Returns the literal of a decoded value, or None if there is none."""
    match value:
        case Chunks() | Map() | Simple():
            return None
        case dict():
            pairs = [(_text(key), _text(item)) for key, item in value.items()]
            return None if any(None in pair for pair in pairs) else f"{{{', '.join(f'{k}: {v}' for k, v in pairs)}}}"
        case list():
            items = [_text(item) for item in value]
            return None if None in items else f"[{', '.join(map(str, items))}]"
        case Tag():
            items = [_text(item) for item in value.item] if isinstance(value.item, list) else [None]
            return None if value.number != _SET or None in items or not items else f"{{{', '.join(map(str, items))}}}"
        case float():
            return None
    return ascii(value)
