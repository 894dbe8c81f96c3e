"""The sends of commands, for clients."""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from hgproto.reactors.sending import Sending, ShortWay
from hgproto.wire.pushed import PushedPayloads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hgproto.reactors.outputs import Output, Outputs
    from hgproto.runtime.frame import Frame
    from hgproto.wire.messages import Part

__all__ = ["Command", "Issuer"]


class Issuer(NamedTuple):
    """The callbacks from commands to their client.

    ``loss_of``: returns the reason why a request cannot be completed, or None. ``is_answered``: returns True if the
    response is complete, so that the server ignores the rest of the data. ``tell_failed``: receives the request id and
    the exception of a command that has failed, and True if some of its frames were built.
    """

    loss_of: Callable[[int], Exception | None]
    is_answered: Callable[[int], bool]
    tell_failed: Callable[[int, BaseException, bool], None]


class Command(Sending):
    """The frames of a command.

    ``parts``: the frames before the data. ``data``: iterators over the frames of the data; they continue after
    :class:`BlockingIOError`. A frame of data is sent once the next one is built, unless its bytes are written piece by piece.
    The first one comes before all other frames, so a command whose data cannot be read sends no frame.
    """

    __slots__ = (
        "_ahead",
        "_built",
        "_data",
        "_is_begun",
        "_is_building",
        "_is_short",
        "_is_told",
        "_issuer",
        "_plain",
        "_raised",
    )

    def __init__(
        self,
        outputs: Outputs,
        request_id: int,
        output: Output,
        parts: Iterable[Part],
        data: Sequence[Iterable[Part]] | None,
        issuer: Issuer,
        plain: bool,
        end: bool,
    ) -> None:
        # Called by name and with positional arguments only, which takes half the time.
        Sending.__init__(self, outputs, request_id, output, end)
        self._built: deque[Part] = deque(parts)
        # The frames of data that are not built yet; None once there are no more.
        self._data: Iterator[Part] | None = None
        # The frames of data that are built before one is sent.
        self._ahead = 2
        if data is not None:
            self._data = chain.from_iterable(data)
            if any(isinstance(each, PushedPayloads) for each in data):
                self._ahead = 1
        self._issuer = issuer
        self._plain = plain
        self._is_begun = self._is_building = self._is_told = False
        # True while the fast path is possible.
        self._is_short = data is None
        self._raised: BaseException | None = None

    def __iter__(self) -> Iterator[Frame]:
        return ShortWay(self) if self._is_short else self

    def _is_all_built(self) -> bool:
        """Returns True if all frames are built and can be sent directly, as for most commands without data."""
        is_short, self._is_short = self._is_short, False
        if not is_short or self._is_made or self._is_begun or self._end or self.output.claimed or self.outputs.may_end:
            return False
        return self.output.stream.is_plain and self._issuer.loss_of(self.request_id) is None

    def take_short(self) -> Frame | None:
        """Returns the first frame, as for most commands, or None if the fast path is not possible."""
        if not self._is_all_built():
            return None
        output, request_id = self.output, self.request_id
        for type_, flags, payload in self._built:
            output.stream.put_part(request_id, type_, flags, payload)
        self._is_begun = self._is_made = True
        self._is_unmade = False
        output.unmade -= 1
        output.ends.append((output.stream.made, self))
        return output.take()

    def to_bytes(self) -> bytes:
        """Returns the bytes of all frames."""
        wire = self.output.take_bytes(self.request_id, self._built) if self._is_all_built() else None
        if wire is None:
            return super().to_bytes()
        self._is_begun = True
        self.sent()
        return wire

    @property
    def _last_flag(self) -> int:
        """The flag of the last frame of data."""
        return self.outputs.plans.revision.data_types[self.outputs.data_code][1]

    @property
    def is_ahead(self) -> bool:
        """True if the send has not built a frame, is not building one, and has not failed."""
        return not (self.claimed or self._is_begun or self._is_making or self.failure is not None)

    def look_ahead(self) -> bool:
        """Builds frames up to the first data. Returns False if the command has failed, so that it sends no frame."""
        if self._is_building:
            return True
        try:
            self._build()
        except BlockingIOError:
            # The file will have data later.
            return True
        except BaseException as error:
            # Raised later, to the caller that consumes the frames of this command.
            self._raised = error
        self._tell()
        return self.failure is None

    def _build(self) -> None:
        """Builds frames until it is known whether the next one is the last, because its flags depend on that.

        Stops if the command has failed. Raises :class:`BlockingIOError` if a file has no bytes yet, and exceptions such
        as :class:`KeyboardInterrupt`.
        """
        built, code, ahead = self._built, self.outputs.data_code, self._ahead
        while self._data is not None and not (len(built) >= ahead and built[-ahead][0] == code):
            self._is_building = True
            try:
                part = next(self._data, None)
            except BlockingIOError:
                raise
            except Exception as error:
                self.failure = error
                return
            except BaseException as error:
                self.failure = error
                raise
            finally:
                self._is_building = False
            if part is None:
                self._data = None
            else:
                built.append(part)

    def _make(self) -> None:
        stream, built, code = self.output.stream, self._built, self.outputs.data_code
        if self._raised is not None:
            raised, self._raised = self._raised, None
            raise raised
        if self.failure is None:
            self.failure = self._issuer.loss_of(self.request_id)
        if self.failure is None and self._data is not None:
            try:
                self._build()
            finally:
                self._tell()
            if self.failure is None:
                # The connection may have failed while the file had no bytes.
                self.failure = self._issuer.loss_of(self.request_id)
        if self.failure is not None:
            self._abandon()
            return
        type_, flags, payload = built[0]
        is_data = type_ == code
        is_whole = bool(flags & self._last_flag) if is_data else len(built) == 1 and self._data is None
        if is_data and not is_whole and self._issuer.is_answered(self.request_id):
            # The server ignores the rest, so the data ends here.
            stream.forget_loss(self.request_id)
            flags, payload, is_whole = self._last_flag, b"", True
            built.clear()
            built.append((type_, flags, payload))
            self._data = None
        try:
            end = is_whole and self._is_last()
            if is_data:
                stream.put_data(self.request_id, code, payload, last=is_whole, plain=self._plain, end=end)
            else:
                stream.put_part(self.request_id, type_, flags, payload, end=end)
        except BaseException as error:
            self.failure = error
            self._release()
            self._tell()
            raise
        built.popleft()
        self._is_begun = True
        if is_whole:
            self._finish()

    def _abandon(self) -> None:
        """Builds the last frames of a command that has failed."""
        stream, request_id, code = self.output.stream, self.request_id, self.outputs.data_code
        self._release()
        self._tell()
        if not self._is_begun or self._issuer.loss_of(request_id) is not None:
            self._finish()
            return
        # If the encoder fails, the next call does not use it.
        if self._issuer.is_answered(request_id):
            stream.forget_loss(request_id)
            stream.put_data(request_id, code, b"", last=True, end=self._is_last())
        elif self._is_last() and stream.can_close:
            stream.put_close(request_id, code)
        self._finish()

    def _tell(self) -> None:
        """Reports a failure to the reactor once; on another thread, :meth:`sent` does so later."""
        if self.failure is None or self.claimed:
            return
        if not self._is_begun:
            self._tell_made()
        if not self._is_told and not self._issuer.is_answered(self.request_id):
            self._is_told = True
            self._issuer.tell_failed(self.request_id, self.failure, self._is_begun)

    def _release(self) -> None:
        """Releases the content, which may be a view of the caller's buffer."""
        self._data = None
        self._built.clear()

    def _was_sent(self) -> None:
        self._data = None
        self._built.clear()
        if self.failure is None or self._issuer.is_answered(self.request_id):
            self.outputs.sent(self.request_id)
        else:
            self._tell()
