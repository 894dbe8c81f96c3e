"""What a client sends for its requests: the frames of commands."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hgproto.reactors.sending import Sending
from hgproto.revisions.framing_0002 import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hgproto.reactors.sending import Output, Outputs
    from hgproto.runtime.frame import Frame

__all__ = ["Command"]

_DATA = int(codec.FrameType.COMMAND_DATA)
_DATA_EOS = int(codec.CommandDataFlag.EOS)


class Command(Sending):
    """The frames of a command.

    They are built before they are sent, up to the first data, so that nothing is sent of a command whose data cannot be
    read at all. ``command``: builds them, and continues after an exception that is a pause. ``loss_of``: why a request
    cannot be completed. ``is_answered``: returns True if nobody waits for the rest of the data. ``tell_failed``: is called
    once if the request has failed here, with the exception and whether a part of the command is on its way.
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
    def is_ahead(self) -> bool:
        """True if no frame was made or is being made yet, and nothing has failed."""
        return not (self.claimed or self._is_begun or self._is_making or self.failure is not None)

    def look_ahead(self) -> bool:
        """Builds frames up to the first data. Returns True if there are any, else gives the command up."""
        if self._is_building:
            return True
        try:
            self._build()
        except BlockingIOError:
            # There will be data.
            return True
        except BaseException as error:
            # It is raised to the caller that takes the frames of this command.
            self._raised = error
        self._tell()
        return self.failure is None

    def _build(self) -> None:
        """Builds until the next frame is known to be the last one or not, or the request has failed.

        Frames of data tell by their flag. No frame is given before the first data was built.

        Raises an exception of the data that is no failure of the request alone.
        """
        built = self._built
        while not (self._is_built or (built and built[-1].type == _DATA) or (self._is_begun and len(built) > 1)):
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
                # An interrupt is told at once too, and a pause is none.
                self._tell()
        if self.failure is None:
            # Data may have been waited for.
            self.failure = self._loss_of(self.request_id)
        if self.failure is not None:
            self._abandon()
            return
        frame = built[0]
        is_data = frame.type == _DATA
        is_whole = bool(frame.flags & _DATA_EOS) if is_data else len(built) == 1
        if is_data and not is_whole and self._is_answered(self.request_id):
            # The data ends here.
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
        """Makes what is sent once the request has failed."""
        stream, request_id = self.output.stream, self.request_id
        self._release()
        self._tell()
        if not self._is_begun or self._loss_of(request_id) is not None:
            self._finish()
            return
        # If the encoder raises an exception, the stream does without it when this is called again.
        if self._is_answered(request_id):
            stream.forget_loss(request_id)
            stream.put(self._end_of_data(), end=self._is_last())
        elif self._is_last() and stream.can_close:
            stream.put_close(request_id, _DATA)
        self._finish()

    def _end_of_data(self) -> Frame:
        """Returns a last frame of data that adds nothing."""
        return codec.make_frame(self.request_id, self.stream_id, 0, _DATA, _DATA_EOS, b"")

    def _tell(self) -> None:
        """Tells the reactor of a failure at once, where frames are made on its thread."""
        if self.failure is not None and not self.claimed:
            if not self._is_begun:
                self._tell_made()
            self._tell_now()

    def _tell_now(self) -> None:
        if self.failure is not None and not self._is_told and not self._is_answered(self.request_id):
            self._is_told = True
            self._tell_failed(self.request_id, self.failure, self._is_begun)

    def _release(self) -> None:
        """Forgets the content: a buffer of data that is not sent to its end is not used any more."""
        self._command = iter(())
        self._built.clear()

    def _was_sent(self) -> None:
        self._release()
        if self.failure is None or self._is_answered(self.request_id):
            self.outputs.sent(self.request_id)
        else:
            self._tell_now()
