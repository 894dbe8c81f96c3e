"""Commands, as a client sends them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hgproto.reactors.sending import Sending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hgproto.reactors.sending import Output, Outputs
    from hgproto.runtime.frame import Frame

__all__ = ["Command"]


class Command(Sending):
    """The frames of a command.

    All frames up to the first data are built before one is sent, so a command whose data cannot be read sends no frame.
    ``command``: builds the frames, and continues after :class:`BlockingIOError`. ``loss_of``: returns the reason why a request
    cannot be completed, or None. ``is_answered``: returns True if the response is complete, so that the server ignores the
    rest of the data. ``tell_failed``: receives the request id and the exception of a command that has failed, and True if
    frames of it were made.
    """

    __slots__ = (
        "_built",
        "_command",
        "_is_answered",
        "_is_begun",
        "_is_building",
        "_is_built",
        "_is_told",
        "_loss_of",
        "_plain",
        "_raised",
        "_tell_failed",
    )

    def __init__(
        self,
        outputs: Outputs,
        request_id: int,
        output: Output,
        command: Iterator[Frame],
        loss_of: Callable[[int], Exception | None],
        is_answered: Callable[[int], bool],
        tell_failed: Callable[[int, BaseException, bool], None],
        *,
        plain: bool,
        end: bool,
    ) -> None:
        super().__init__(outputs, request_id, output, end=end)
        self._command = command
        self._loss_of = loss_of
        self._is_answered = is_answered
        self._tell_failed = tell_failed
        self._plain = plain
        self._built: deque[Frame] = deque()
        self._is_begun = self._is_built = self._is_building = self._is_told = False
        self._raised: BaseException | None = None

    @property
    def _last_flag(self) -> int:
        """The flag of the last frame of data."""
        return self.outputs.plans.revision.data_types[self.outputs.data_code][1]

    @property
    def is_ahead(self) -> bool:
        """True if no frame was made or is being made yet, and nothing has failed."""
        return not (self.claimed or self._is_begun or self._is_making or self.failure is not None)

    def look_ahead(self) -> bool:
        """Builds frames up to the first data. Returns False if the command has failed, so that it sends no frame."""
        if self._is_building:
            return True
        try:
            self._build()
        except BlockingIOError:
            # There will be data.
            return True
        except BaseException as error:
            # The caller that takes the frames of this command gets the exception.
            self._raised = error
        self._tell()
        return self.failure is None

    def _build(self) -> None:
        """Builds frames until it is known whether the next one is the last, or the command has failed.

        A frame of data has a flag for that. Raises :class:`BlockingIOError` if a file has no bytes yet, and exceptions such
        as :class:`KeyboardInterrupt`.
        """
        built = self._built
        while not (
            self._is_built
            or (built and built[-1].type == self.outputs.data_code)
            or (self._is_begun and len(built) > 1)
        ):
            self._is_building = True
            try:
                for frame in self._command:
                    built.append(frame)
                    break
                else:
                    self._is_built = True
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

    def _make(self) -> None:
        stream, built = self.output.stream, self._built
        if self._raised is not None:
            raised, self._raised = self._raised, None
            raise raised
        if self.failure is None:
            self.failure = self._loss_of(self.request_id)
        if self.failure is None:
            try:
                self._build()
            finally:
                self._tell()
        if self.failure is None:
            # The connection may have failed while the file had no bytes.
            self.failure = self._loss_of(self.request_id)
        if self.failure is not None:
            self._abandon()
            return
        frame = built[0]
        is_data = frame.type == self.outputs.data_code
        is_whole = bool(frame.flags & self._last_flag) if is_data else len(built) == 1
        if is_data and not is_whole and self._is_answered(self.request_id):
            # The server ignores the rest, so the data ends here.
            stream.forget_loss(self.request_id)
            frame = self._end_of_data()
            built.clear()
            built.append(frame)
            self._is_built = is_whole = True
        try:
            stream.put(frame, plain=self._plain and is_data, end=is_whole and self._is_last())
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
        """Makes the last frames of a command that has failed."""
        stream, request_id = self.output.stream, self.request_id
        self._release()
        self._tell()
        if not self._is_begun or self._loss_of(request_id) is not None:
            self._finish()
            return
        # If the encoder fails, the next call does without it.
        if self._is_answered(request_id):
            stream.forget_loss(request_id)
            stream.put(self._end_of_data(), end=self._is_last())
        elif self._is_last() and stream.can_close:
            stream.put_close(request_id, self.outputs.data_code)
        self._finish()

    def _end_of_data(self) -> Frame:
        """Returns a last frame of data that adds nothing."""
        codec, code = self.outputs.plans.revision.codec, self.outputs.data_code
        return codec.make_frame(self.request_id, self.stream_id, 0, code, self._last_flag, b"")

    def _tell(self) -> None:
        """Reports a failure to the reactor once; on another thread, :meth:`sent` does so later."""
        if self.failure is None or self.claimed:
            return
        if not self._is_begun:
            self._tell_made()
        if not self._is_told and not self._is_answered(self.request_id):
            self._is_told = True
            self._tell_failed(self.request_id, self.failure, self._is_begun)

    def _release(self) -> None:
        """Releases the content, which may be a view of the caller's buffer."""
        self._command = iter(())
        self._built.clear()

    def _was_sent(self) -> None:
        self._release()
        if self.failure is None or self._is_answered(self.request_id):
            self.outputs.sent(self.request_id)
        else:
            self._tell()
