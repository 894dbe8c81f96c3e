"""A scanner that finds the items of a CBOR sequence whose bytes arrive in parts.

It reads only the heads of items, each of them once. Its time is linear in the number of bytes, however they are split.
:mod:`hgproto.runtime.cbor` decodes an item when it is whole.
"""

from __future__ import annotations

from hgproto.errors import counted
from hgproto.runtime.cbor import MAX_DEPTH, CborError, item_head

__all__ = ["Scanner"]

_MOST_HEAD = 9
"""The most bytes of the head of an item."""
_BREAK = 0xFF


class Scanner:
    """Cuts the bytes of a CBOR sequence into whole items.

    ``most``: the most bytes of one item; None for no limit. ``offset``: the number of bytes before the next item.
    """

    __slots__ = ("_at", "_data", "_in_string", "_left", "_most", "offset")

    def __init__(self, most: int | None = None) -> None:
        self.offset = 0
        self._most = most
        self._data = bytearray()
        self._at = 0
        # The number of items that each open container still needs; None if a break ends it.
        self._left: list[int | None] = []
        # True inside of a string of indefinite length.
        self._in_string = False

    @property
    def held(self) -> int:
        """The number of bytes of the item that is not whole yet."""
        return len(self._data)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Returns the items that are whole with these bytes: the offset of each in the sequence, and its bytes.

        Raises :class:`CborError` with an offset in the sequence for bytes that begin no item, for too many levels of
        nesting (``malformed``), and for an item over the limit (``limit``). :meth:`cut` returns the items before the error too.
        """
        found, error = self.cut(data)
        if error is not None:
            raise error
        return found

    def cut(self, data: bytes) -> tuple[list[tuple[int, bytes]], CborError | None]:
        """Returns the items of :meth:`feed`, and the error after them. No bytes can be cut after an error."""
        self._data += data
        found: list[tuple[int, bytes]] = []
        start, end = 0, len(self._data)
        try:
            while self._at < end:
                at = self._at
                if not self._pass(at, start):
                    break
                if self._at > end:
                    # The rest of a string is missing. Its head is looked at again with the next bytes.
                    self._at = at
                    break
                if not self._left:
                    self._check(self._at - start, start)
                    found.append((self.offset + start, bytes(self._data[start : self._at])))
                    start = self._at
            self._check(end - start, start)
        except CborError as error:
            return found, CborError(error.kind, self.offset + error.offset, error.expected, error.found)
        del self._data[:start]
        self.offset += start
        self._at -= start
        return found, None

    @property
    def incomplete(self) -> CborError | None:
        """The error if the sequence ends here: None if all items are whole."""
        if not self._data:
            return None
        found = f"the end after {counted(len(self._data), 'byte')}"
        return CborError("malformed", self.offset, "a whole data item", found)

    def close(self) -> None:
        """Ends the sequence. Raises :class:`CborError` if an item is not whole."""
        error = self.incomplete
        if error is not None:
            raise error

    def _pass(self, at: int, start: int) -> bool:
        """Moves past the head at ``at``, and past the string after it. Returns False if the head is not whole."""
        head = bytes(self._data[at : at + _MOST_HEAD])
        if head[0] == _BREAK and self._left and self._left[-1] is None:
            self._left.pop()
            self._in_string = False
            self._at = at + 1
            self._complete()
            return True
        try:
            major, _, argument, body = item_head(head, 0)
        except CborError as error:
            if len(head) < _MOST_HEAD and head[0] & 31 in (24, 25, 26, 27):
                return False
            raise CborError(error.kind, at, error.expected, error.found) from None
        # As in `decode_item`, the depth of a chunk does not count.
        if len(self._left) > MAX_DEPTH and not self._in_string:
            raise CborError("malformed", at, f"at most {MAX_DEPTH} levels of nesting", "more")
        if self._in_string and (major not in (2, 3) or argument is None):
            raise CborError("malformed", at, "a definite chunk of the same string type", "another item")
        self._at = at + body
        if argument is None:
            if major == 7:
                raise CborError("malformed", at, "a data item", "a break outside of an indefinite item")
            self._left.append(None)
            self._in_string = major in (2, 3)
        elif major in (4, 5) and argument:
            self._left.append(argument * (major - 3))
        elif major == 6:
            self._left.append(1)
        else:
            if major in (2, 3):
                self._at += argument
                self._check(self._at - start, start)
            if self._at <= len(self._data):
                self._complete()
        return True

    def _complete(self) -> None:
        """Counts an item that is whole, and the containers that are whole with it."""
        while self._left:
            left = self._left[-1]
            if left is None:
                return
            if left > 1:
                self._left[-1] = left - 1
                return
            self._left.pop()

    def _check(self, size: int, start: int) -> None:
        if self._most is not None and size > self._most:
            raise CborError("limit", start, f"an item of at most {counted(self._most, 'byte')}", counted(size, "byte"))
