"""Make frames out of chunks: as few as the chunks of one read allow.

Neighbouring deltas of the same kind and choice become one frame; the order of everything else is kept. A text is cut
where a frame would be too large for a websocket's message limit.

    chunks   content "Hel" | content "lo" | reasoning "hm" | content "!"
    frames   content "Hello"              | reasoning "hm" | content "!"

One frame for each delta was rejected: a burst of a hundred tokens would be a hundred messages to each client.
"""

from __future__ import annotations

from collections.abc import Iterable

from opeai_async._core.answer.once import Once
from opeai_async._core.answer.tool_pieces import ToolPiece, ToolPieces
from opeai_async._core.frames.algebra import MAX_FRAME_CHARS, merged, width
from opeai_async._core.frames.error_frames import error_frame
from opeai_async._core.frames.images import has_images, images_of
from opeai_async._core.limits import MAX_INDEX
from opeai_async.errors import (
    StreamTooLargeError,
)
from opeai_async.types.chunk import AudioDelta, ChatCompletionChunk, ChoiceDelta, FunctionCallDelta, ToolCallDelta
from opeai_async.types.common import NO_EXTRA, Annotation, CompletionUsage
from opeai_async.types.frames import (
    FRAMES_VERSION,
    AnnotationsFrame,
    AudioFrame,
    ContentFrame,
    DoneFrame,
    DoneReason,
    ErrorFrame,
    Frame,
    ImagesFrame,
    ReasoningFrame,
    RefusalFrame,
    RoundFrame,
    StartFrame,
    ToolCallFrame,
)

TextFrameType = type[ContentFrame] | type[ReasoningFrame] | type[RefusalFrame]


class Framer:
    """Maker of the frames of one answer.

    Args:
        earlier_calls: Number of tool calls before this answer; the indexes of its own calls begin there.

    Attributes:
        offset: Position in the answer after the last frame that was made.
    """

    __slots__ = (
        "_annotations",
        "_calls",
        "_earlier_calls",
        "_frames",
        "_is_begun",
        "_kind",
        "_next_call",
        "_old_calls",
        "_round",
        "_texts",
        "offset",
    )

    def __init__(self, *, earlier_calls: int = 0) -> None:
        self.offset: int = 0
        # The start frame of this round has been made.
        self._is_begun = False
        # Frames made and not yet returned.
        self._frames: list[Frame] = []
        # Type and choice of the text that is being collected, None if there is none; and its pieces.
        self._kind: tuple[TextFrameType, int] | None = None
        self._texts: list[str] = []
        # By choice, of this round only.
        self._annotations: dict[int, Once[Annotation]] = {}
        self._calls: dict[int, ToolPieces] = {}
        # The same for ``function_call``, the field from before the API had tools.
        self._old_calls: dict[int, ToolPieces] = {}
        # Number of the round, from 1 on: each round of a run with tools is one message.
        self._round = 1
        # Calls before this round, and the first index that is free after the calls so far.
        self._earlier_calls = self._next_call = earlier_calls

    def add(self, chunks: Iterable[ChatCompletionChunk]) -> list[Frame]:
        """Return the frames of *chunks*: an empty list if the chunks add nothing."""
        for chunk in chunks:
            if not self._is_begun:
                self._is_begun = True
                self._add(self._beginning(chunk))
            for choice in chunk.choices:
                delta, index = choice.delta, choice.index
                if delta.reasoning_content:
                    self._add_text((ReasoningFrame, index), delta.reasoning_content)
                if delta.content:
                    self._add_text((ContentFrame, index), delta.content)
                if delta.refusal:
                    self._add_text((RefusalFrame, index), delta.refusal)
                if delta.tool_calls:
                    self._add_calls(index, delta.tool_calls)
                if (
                    delta.function_call is not None
                    or delta.audio is not None
                    or delta.annotations
                    or delta.extra is not NO_EXTRA
                ):
                    self._add_rare(index, delta)
        return self._taken()

    def rest(self) -> list[Frame]:
        """Return the frames that were held back as uncertain; call it once, after the last chunk.

        A finish_reason is too early: some servers send more of the choice after it.
        """
        for all_calls, is_old in ((self._calls, False), (self._old_calls, True)):
            for choice, calls in all_calls.items():
                for piece in calls.rest():
                    self._add_piece(choice, piece, is_old=is_old)
        return self._taken()

    def next_round(self) -> None:
        """Begin another message: the chunks that follow answer the results of the tools."""
        self._round += 1
        self._is_begun = False
        self._calls, self._old_calls, self._annotations = {}, {}, {}
        self._earlier_calls = self._next_call

    def tell(self, frame: Frame) -> list[Frame]:
        """Insert a frame that no chunk produced."""
        self._add(frame)
        return self._taken()

    def done(self, reason: DoneReason, finish_reasons: dict[int, str], usage: CompletionUsage | None) -> DoneFrame:
        """Return the last frame of an answer that ended without an error."""
        self.offset += 1
        return DoneFrame(
            reason=reason,
            finish_reason=finish_reasons.get(0),
            finish_reasons=finish_reasons if len(finish_reasons) > 1 else None,
            usage=usage,
            offset=self.offset,
        )

    def failed(self, error: BaseException) -> ErrorFrame:
        """Return the last frame of an answer that *error* ended."""
        self.offset += 1
        return error_frame(error, offset=self.offset)

    def _beginning(self, chunk: ChatCompletionChunk) -> Frame:
        if self._round == 1:
            return StartFrame(v=FRAMES_VERSION, id=chunk.id, model=chunk.model)
        return RoundFrame(round=self._round, id=chunk.id)

    def _add_text(self, kind: tuple[TextFrameType, int], text: str) -> None:
        if kind != self._kind:
            self._flush()
            self._kind = kind
        self._texts.append(text)

    def _flush(self) -> None:
        """Make one or more frames of the text collected so far."""
        if self._kind is None:
            return
        (frame_type, choice), text = self._kind, "".join(self._texts)
        self._kind, self._texts = None, []
        for begin in range(0, len(text), MAX_FRAME_CHARS):
            self._append(frame_type(text=text[begin : begin + MAX_FRAME_CHARS], choice=choice))

    def _add(self, frame: Frame) -> None:
        self._flush()
        self._append(frame)

    def _append(self, frame: Frame) -> None:
        last = self._frames[-1] if self._frames else None
        together = None if last is None else merged(last, frame)
        self.offset += width(frame)
        if together is not None and width(together) <= MAX_FRAME_CHARS:
            self._frames[-1], frame = together, together
        else:
            self._frames.append(frame)
        frame.offset = self.offset

    def _taken(self) -> list[Frame]:
        self._flush()
        frames, self._frames = self._frames, []
        return frames

    def _add_calls(self, choice: int, deltas: list[ToolCallDelta]) -> None:
        calls = self._calls.get(choice) or self._calls.setdefault(choice, ToolPieces(MAX_INDEX))
        try:
            for delta in deltas:
                for piece in calls.add(delta):
                    self._add_piece(choice, piece)
        except StreamTooLargeError:
            pass  # the stream itself ends with this error

    def _add_piece(self, choice: int, piece: ToolPiece, *, is_old: bool = False) -> None:
        if is_old and not (piece.name or piece.arguments):
            return  # only an id, which ``function_call`` does not have
        kind = "function_call" if is_old else piece.kind
        index = self._earlier_calls + piece.position
        self._next_call = max(self._next_call, index + 1)
        # One less than the bound: the head of a call counts as one character.
        first, arguments = MAX_FRAME_CHARS - 1, piece.arguments
        self._add(
            ToolCallFrame(
                index=index,
                kind=kind,
                id=None if is_old else piece.id,
                name=piece.name,
                arguments=arguments[:first],
                choice=choice,
            )
        )
        for begin in range(first, len(arguments), MAX_FRAME_CHARS):
            more = arguments[begin : begin + MAX_FRAME_CHARS]
            self._add(ToolCallFrame(index=index, kind=kind, arguments=more, choice=choice))

    def _add_rare(self, choice: int, delta: ChoiceDelta) -> None:
        if delta.function_call is not None:
            self._add_old_call(choice, delta.function_call)
        if delta.audio is not None:
            self._add_audio(choice, delta.audio)
        if delta.annotations and (new := self._annotations.setdefault(choice, Once()).new(delta.annotations)):
            self._add(AnnotationsFrame(annotations=new, choice=choice))
        if has_images(delta) and (images := images_of(delta)):
            self._add(ImagesFrame(images=images, choice=choice))

    def _add_audio(self, choice: int, audio: AudioDelta) -> None:
        data, transcript, audio_id = audio.data or "", audio.transcript or "", audio.id or None
        if not (data or transcript or audio_id or audio.expires_at or audio.extra):
            return
        for begin in range(0, max(len(data), len(transcript), 1), MAX_FRAME_CHARS):
            part = slice(begin, begin + MAX_FRAME_CHARS)  # of base64, a multiple of 4
            self._add(AudioFrame(id=audio_id, data=data[part], transcript=transcript[part], choice=choice))
            audio_id = None

    def _add_old_call(self, choice: int, call: FunctionCallDelta) -> None:
        calls = self._old_calls.get(choice) or self._old_calls.setdefault(choice, ToolPieces(MAX_INDEX, is_single=True))
        for piece in calls.add(ToolCallDelta(function=call)):
            self._add_piece(choice, piece, is_old=True)
