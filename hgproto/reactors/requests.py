"""What a client sends for its requests: the frames of commands."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hgproto.reactors.events import Sending
from hgproto.reactors.outputs import Send
from hgproto.revisions.framing_0002 import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hgproto.reactors.outputs import Outputs
    from hgproto.runtime.frame import Frame
    from hgproto.streams.output_stream import OutputStream

__all__ = ["Command", "Flush"]

_DATA = int(codec.FrameType.COMMAND_DATA)
_DATA_EOS = int(codec.CommandDataFlag.EOS)


class Command(Send):
    """The frames of a command.

    They are built before they are sent, up to the first data, so that nothing is sent of a command whose data cannot be
    read at all. ``begun``: a frame of it was sent, or is about to be; ``given``: one was sent.
    """

    __slots__ = (
        "_begun_with",
        "_building",
        "_built",
        "_command",
        "_complete",
        "_is_answered",
        "_is_given",
        "_loss_of",
        "_plain",
        "_raised",
        "_tell_failed",
    )

    def __init__(
        self,
        outputs: Outputs,
        request_id: int,
        stream: OutputStream,
        command: Iterator[Frame],
        loss_of: Callable[[int], Exception | None],
        is_answered: Callable[[int], bool],
        tell_failed: Callable[[int, BaseException, bool], None],
        *,
        plain: bool,
        end: bool,
    ) -> None:
        super().__init__(outputs, request_id, stream, end=end)
        self._command = command
        self._loss_of = loss_of
        self._is_answered = is_answered
        self._tell_failed = tell_failed
        self._plain = plain
        self._built: deque[Frame] = deque()
        self._complete = False
        self._begun_with = self._is_given = self._building = False
        self._raised: BaseException | None = None

    @property
    def is_ahead(self) -> bool:
        """True if no frame was sent yet, and nothing has failed."""
        return not (self.claimed or self._begun_with or self.failure is not None)

    def look_ahead(self) -> bool:
        """Builds frames up to the first data. Returns True if there are any, else gives the command up."""
        if self._building:
            return True
        try:
            self._build()
        except BlockingIOError:
            # There will be data.
            self._pause = None
            return True
        except BaseException as error:
            # It is raised to the caller that takes the frames of this command.
            self._raised = error
        if self.failure is not None:
            self._give_up()
        return self.failure is None

    def _build(self) -> bool:
        """Builds until the next frame is known to be the last one or not.

        Returns False once the request has failed. Raises whatever data raises that is no failure of the request alone.
        """
        built = self._built
        self.failure = self._loss_of(self.request_id)
        while self.failure is None and not (len(built) > 1 and (self._begun_with or built[-1].type == _DATA)):
            self._building = True
            try:
                frame = next(self._command, None)
            except BlockingIOError as pause:
                self._pause = pause
                raise
            except Exception as error:
                self.failure = error
                return False
            except BaseException as error:
                self.failure = error
                raise
            finally:
                self._building = False
            if frame is None:
                self._complete = True
                return True
            built.append(frame)
        return self.failure is None

    def _frames(self) -> Iterator[Frame]:
        stream, built, plain = self.stream, self._built, self._plain
        while self.failure is None:
            if not self._complete and (len(built) < 2 or not self._begun_with) and not self._build():
                break
            self.failure = self._loss_of(self.request_id)
            if self.failure is not None:
                break
            frame = built.popleft()
            if built and frame.type == _DATA and self._is_answered(self.request_id):
                # The data ends here.
                built.clear()
                stream.forget_loss(self.request_id)
                frame = frame.replace(flags=codec.CommandDataFlag.EOS, payload=b"")
            is_data, is_whole, self._begun_with = frame.type == _DATA, not built, True
            for sent in stream.send(frame, plain=plain and is_data, end=self.is_last if is_whole else False):
                # Before it, the stream may give its settings and what others have left in its encoder.
                if sent.request_id == self.request_id and sent.type == frame.type:
                    self._is_given = True
                yield sent
            # Another send may have given it.
            self._is_given = True
            if is_whole:
                return
        yield from self._rest()

    def _rest(self) -> Iterator[Frame]:
        """What is sent once the request has failed."""
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised
        if not self._is_given or self._loss_of(self.request_id) is not None:
            return
        if self._is_answered(self.request_id):
            self.stream.forget_loss(self.request_id)
            eos = codec.make_frame(self.request_id, self.stream.stream_id, 0, _DATA, _DATA_EOS, b"")
            yield from self.stream.send(eos, end=self.is_last)
        elif self.is_last() and self.stream.can_close:
            yield from self.stream.close(self.request_id, _DATA)

    def _rest_after(self, error: BaseException) -> Iterator[Frame]:
        if self.failure is None:
            # The encoder has failed, and its state is unknown.
            self.failure = error
            self._command = iter(())
            self.stream.stop_encoding()
            self._give_up()
            return super()._rest_after(error)
        self._give_up()
        return self._frames()

    def _give_up(self) -> None:
        """Tells the reactor of the failure at once, where frames are made on its thread."""
        if not self.claimed and self.failure is not None and not self._is_answered(self.request_id):
            self._tell_failed(self.request_id, self.failure, self._is_given)
            if not self._is_given:
                self._tell_made()

    def _was_sent(self) -> None:
        # A buffer of data that was not sent to its end is not used any more.
        self._command = iter(())
        self._outputs.taken(self)
        if self.failure is None or self._is_answered(self.request_id):
            self._outputs.sent(self.request_id)
        else:
            self._tell_failed(self.request_id, self.failure, self._is_given)


class Flush(Sending):
    """Commands that were held back."""

    __slots__ = ("_held", "_sends", "_stuck")

    def __init__(self, held: list[Command]) -> None:
        super().__init__(None, None)
        self._sends = tuple(held)
        self._held = deque(held)
        self._stuck: Command | None = None

    @property
    def failures(self) -> dict[int, BaseException]:
        """The failures by request id."""
        return {send.request_id: send.failure for send in self._sends if send.failure is not None}

    def _frames(self) -> Iterator[Frame]:
        while self._held:
            yield from self._held[0]
            self._done()

    def _is_pause(self, error: BaseException) -> bool:
        return isinstance(error, BlockingIOError) and bool(self._held) and self._held[0].failure is None

    def _done(self) -> None:
        send = self._held.popleft()
        if self.failure is None:
            self.failure = send.failure

    def _rest_after(self, _error: BaseException) -> Iterator[Frame]:
        # The others follow, whatever becomes of the rest of the one that has failed.
        if self._held:
            if self._stuck is self._held[0]:
                self._held[0].sent()
                self._done()
            else:
                self._stuck = self._held[0]
        return self._frames()
