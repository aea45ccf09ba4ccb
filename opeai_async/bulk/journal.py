"""What has been finished, in a file that survives ``kill -9``: JSON lines, one per finished request.

A line begins with its state and its key, at fixed places, so that an index of a million lines is made without decoding
them; then comes what people and ``finished="yield"`` read::

    {"done":"8dXqbyHvLPm1F2+M0YbBq3Zv","custom_id":"a-17","index":17,"completion":{...}}
    {"fail":"Vd3kq0/8LPm1k2fMkYbBq3Zv","custom_id":"a-18","index":18,"error":{...}}
             custom_id   request        digests, 12 characters each

**Commits.** Lines are gathered and written by one thread call at most ``COMMIT_S`` after the first of them, with one
``fsync`` for all. Until then they are in memory only, and a request whose line is lost runs again.

**Opening.** Of a line that was cut (no newline at the end), nothing was committed: it is cut off. Other lines that are
not as above (a disk that lost a block) count as not finished. What failed is not finished either: it runs again.

**The index** holds, for each line that is done, its key and where it is. A dict of a million strings takes 150 MB; so
keys lie one after the other in 65,536 buckets of bytes, which are searched by ``bytes.find``: 45 MB.

**The lock** is a file beside the journal, locked by the system for as long as the process lives, with its number in it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import anyio.to_thread
import msgspec
from msgspec import Struct

from opeai_async._core.call.encode import as_builtin
from opeai_async.bulk.request import DIGEST_CHARS, KEY_CHARS, Job
from opeai_async.bulk.result import BulkResult
from opeai_async.errors import OpeAIError
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice
from opeai_async.types.meta import NO_META
from opeai_async.types.parsed import ParsedChatCompletion

COMMIT_S = 0.25
MAX_PENDING_BYTES = 64 * 1024 * 1024
"""Above this much that is not committed, requests wait for the disk."""

_DONE, _FAIL = b'{"done":"', b'{"fail":"'
_KEY_AT = len(_DONE)
_KEY_END = _KEY_AT + KEY_CHARS
_BUCKETS = 65536
_PLACE_BYTES = 8
_ROW = KEY_CHARS + _PLACE_BYTES


class JournalError(OpeAIError):
    """The journal cannot be used: another process has it, or the file cannot be read or written.

    Attributes:
        pid: The process that has it, if that is why.
    """

    default_hint = "wait for the other run to end, or use another journal"

    def __init__(self, message: str, *, pid: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.pid = pid


class ErrorRecord(Struct, omit_defaults=True, kw_only=True, gc=False):
    """An error as a journal has it."""

    type: str
    message: str
    status_code: int | None = None
    code: str | None = None
    request_id: str | None = None


class JournalEntry(Struct, omit_defaults=True, kw_only=True, gc=False):
    """One line of a journal; ``done`` or ``fail`` has the key.

    Attributes:
        completion: The answer; without ``meta``.
        request_id: The server's id for the request.
        attempts: How many tries there were.
        total_s: Seconds from the begin of the request to its end.
    """

    done: str | None = None
    fail: str | None = None
    custom_id: str = ""
    index: int = 0
    attempts: int = 1
    total_s: float = 0.0
    request_id: str | None = None
    completion: ChatCompletion | None = None
    error: ErrorRecord | None = None


_encode = msgspec.json.Encoder(enc_hook=as_builtin).encode
_decode = msgspec.json.Decoder(JournalEntry).decode


def line_of(job: Job, result: BulkResult) -> bytes:
    """Return the line for *result*, with its newline."""
    if result.completion is not None:
        begin, entry = _DONE, _done(job, result, result.completion)
    else:
        begin, entry = _FAIL, _failed(job, result)
    # Never an empty object: it has a completion or an error.
    return b'%b%b",%b\n' % (begin, job.key, _encode(entry)[1:])


def _done(job: Job, result: BulkResult, completion: ChatCompletion) -> JournalEntry:
    return JournalEntry(
        custom_id=job.custom_id,
        index=job.index,
        attempts=len(result.attempts) or 1,
        total_s=round(result.timing.total_s, 6),
        request_id=completion.meta.request_id,
        completion=plain_completion(completion),
    )


def _failed(job: Job, result: BulkResult) -> JournalEntry:
    error = result.error
    return JournalEntry(
        custom_id=job.custom_id,
        index=job.index,
        attempts=len(result.attempts),
        total_s=round(result.timing.total_s, 6),
        error=ErrorRecord(
            type=type(error).__name__,
            message=getattr(error, "message", str(error)),
            status_code=getattr(error, "status_code", None) or None,
            code=getattr(error, "code", None),
            request_id=getattr(error, "request_id", None),
        ),
    )


def plain_completion(completion: ChatCompletion) -> ChatCompletion:
    """Return *completion* as the API has it: without ``meta``, and without a value it was parsed to."""
    if not issubclass(type(completion), ParsedChatCompletion):
        return msgspec.structs.replace(completion, meta=NO_META)
    fields: dict[str, Any] = {name: getattr(completion, name) for name in ChatCompletion.__struct_fields__}
    fields["choices"] = [_plain_choice(choice) for choice in completion.choices]
    fields["meta"] = NO_META
    return ChatCompletion(**fields)


def _plain_choice(choice: Choice) -> Choice:
    names = ChatCompletionMessage.__struct_fields__
    message: dict[str, Any] = {name: getattr(choice.message, name) for name in names}
    fields: dict[str, Any] = {name: getattr(choice, name) for name in Choice.__struct_fields__}
    fields["message"] = ChatCompletionMessage(**message)
    return Choice(**fields)


class Index:
    """Keys of what is done, and where their lines are."""

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(_BUCKETS)]
        self.count: int = 0

    def add(self, key: bytes, place: int) -> None:
        """Add the line at *place*."""
        self._buckets[hash(key[:DIGEST_CHARS]) % _BUCKETS] += key + place.to_bytes(_PLACE_BYTES, "little")
        self.count += 1

    def find(self, key: bytes) -> tuple[int | None, bool]:
        """Return where the last line with *key* is, or None; and whether there is any with its custom_id."""
        bucket = self._buckets[hash(key[:DIGEST_CHARS]) % _BUCKETS]
        at, has_id = len(bucket), False
        name = key[:DIGEST_CHARS]
        while (at := bucket.rfind(name, 0, at)) >= 0:
            # Text of another row may look like a name; and this one cannot begin inside of a row.
            if at % _ROW == 0:
                has_id = True
                if bucket.startswith(key, at):
                    return int.from_bytes(bucket[at + KEY_CHARS : at + _ROW], "little"), True
            at += DIGEST_CHARS - 1
        return None, has_id


class Journal:
    """An open journal; ``close`` it, or use ``with``.

    Args:
        path: The file; made if it is not there.

    Attributes:
        finished: How many lines are done.
        damaged: How many could not be understood.
        is_torn: Whether the last line was cut, and has been removed.
        pending_bytes: How much is not committed.

    Raises:
        JournalError: If another process has it, or it is not a journal, or the system refuses.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Path = Path(path)
        self.damaged: int = 0
        self.is_torn: bool = False
        self.pending_bytes: int = 0
        self._pending: list[bytes] = []
        self._adding, self._writing = threading.Lock(), threading.Lock()
        self._failure: JournalError | None = None
        self._index = Index()
        self._lock = Lock(self.path.with_name(self.path.name + ".lock"))
        try:
            # In binary, unbuffered: what `write` has taken is the system's, whatever becomes of this process.
            self._file: BinaryIO = open(self.path, "a+b", buffering=0)  # noqa: SIM115  # closed by close()
        except OSError as exc:
            self._lock.release()
            raise _refused(self.path, exc) from exc
        try:
            self._load()
        except OSError as exc:
            self.close()
            raise _refused(self.path, exc) from exc
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def finished(self) -> int:
        """How many lines are done, those of this run not counted."""
        return self._index.count

    # --- what is in it ---------------------------------------------------------------------------------------------

    def _load(self) -> None:
        end, self.damaged = scan(self.path, self._index)
        if self.path.stat().st_size > end:
            self.is_torn = True
            os.ftruncate(self._file.fileno(), end)
            os.fsync(self._file.fileno())

    def find(self, key: bytes) -> tuple[int | None, bool]:
        """Return where the line of *key* is, None if it is not done; and whether its custom_id was done at all."""
        return self._index.find(key)

    def read(self, place: int) -> JournalEntry:
        """Return the line at *place*.

        Raises:
            JournalError: If it cannot be decoded.
        """
        return entry_at(self.path, place)

    # --- what is added ---------------------------------------------------------------------------------------------

    def add(self, line: bytes) -> None:
        """Add a line, which the next ``commit`` writes."""
        with self._adding:
            self._pending.append(line)
            self.pending_bytes += len(line)

    async def commit(self) -> None:
        """Write what was added, and wait until it is on the disk.

        A task that is cancelled here may leave the thread at work, or keep it from beginning. Neither loses a line:
        lines are taken by the thread itself, and ``close`` writes those that it has not taken.

        Raises:
            JournalError: If the system refuses, such as for a full disk.
        """
        await anyio.to_thread.run_sync(self.commit_now)

    def commit_now(self) -> None:
        """Do the same at once, blocking; from any thread."""
        with self._writing:
            if self._failure is not None:
                raise self._failure
            with self._adding:
                lines, self._pending, self.pending_bytes = self._pending, [], 0
            if lines:
                try:
                    self._write(b"".join(lines))
                except JournalError as error:
                    self._failure = error  # nobody may have waited for it
                    raise

    def _write(self, block: bytes) -> None:
        view = memoryview(block)
        try:
            while view:
                view = view[self._file.write(view) :]
            os.fsync(self._file.fileno())
        except OSError as exc:
            raise _refused(self.path, exc) from exc

    def close(self) -> None:
        """Commit, close and unlock; may be called again."""
        if self._file.closed:
            return
        try:
            self.commit_now()
        finally:
            self._file.close()
            self._lock.release()


def scan(path: str | os.PathLike[str], index: Index, *, first: int = 0) -> tuple[int, int]:
    """Add what is done in the journal at *path* to *index*; nothing is locked or changed.

    Args:
        first: Added to each place, to tell several files apart.

    Returns:
        Where the last whole line ends, and how many lines are damaged.

    Raises:
        JournalError: If the file is something else.
    """
    end = damaged = 0
    add = index.add
    with open(path, "rb", buffering=1024 * 1024) as lines:
        for line in lines:
            if line[-1:] != b"\n":
                break
            # The newline is there, so the line is whole; the brace is for blocks of zeros that a disk left behind.
            if line.startswith(_DONE) and line[-2:] == b"}\n":
                add(line[_KEY_AT:_KEY_END], first + end)
            elif not (line.startswith(_FAIL) and line[-2:] == b"}\n"):
                if end == 0:
                    raise JournalError(
                        f"{path} is not a journal: its first line begins with {line[:20]!r}",
                        hint="give the file of a journal, or one that is not there yet",
                    )
                damaged += 1
            end += len(line)
    return end, damaged


def entry_at(path: str | os.PathLike[str], place: int) -> JournalEntry:
    """Return the entry at that byte of a journal.

    Raises:
        JournalError: If it cannot be decoded.
    """
    with open(path, "rb") as lines:
        lines.seek(place)
        line = lines.readline()
    try:
        return _decode(line)
    except (msgspec.DecodeError, msgspec.ValidationError) as exc:
        raise JournalError(f"{path}: the line at byte {place} cannot be read: {exc}") from None


def read_journal(path: str | os.PathLike[str]) -> Iterator[JournalEntry]:
    """Iterate over the entries of a journal, also while a run writes it; lines that are cut or damaged are left out.

    Where a request is there more than once, such as first failed and then done, its last entry counts.
    """
    with open(path, "rb", buffering=1024 * 1024) as lines:
        for line in lines:
            if line[-1:] == b"\n" and line.startswith((_DONE, _FAIL)):
                with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
                    yield _decode(line)


def _refused(path: Path, exc: OSError) -> JournalError:
    return JournalError(f"{path}: {exc.strerror or exc}", hint="make room, or choose another place for the journal")


class Lock:
    """A lock on a file, which the system takes back when the process ends, however that is.

    Args:
        path: The lock file; it is removed when the lock is released.

    Raises:
        JournalError: If another process, or another run of this one, has it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        while True:
            try:
                self._fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
            except OSError as exc:
                raise _refused(path, exc) from exc
            if not _try_lock(self._fd):
                pid = _pid_in(self._fd)
                os.close(self._fd)
                whose = "this process" if pid == os.getpid() else f"process {pid or '(unknown)'}"
                raise JournalError(f"{path.with_suffix('')} is in use by {whose}", pid=pid)
            # Who had it may have removed the file between our two steps; then we have locked nothing.
            if self._is_current():
                break
            os.close(self._fd)
        os.ftruncate(self._fd, 0)
        os.write(self._fd, str(os.getpid()).encode("ascii"))

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self._path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Give it back."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        os.close(self._fd)


def _pid_in(fd: int) -> int | None:
    text = os.pread(fd, 20, 0) if hasattr(os, "pread") else b""
    return int(text) if text.isdigit() else None


def _try_lock(fd: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        return _try_lock_windows(fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _try_lock_windows(fd: int) -> bool:  # pragma: no cover
    import importlib

    msvcrt: Any = importlib.import_module("msvcrt")
    try:
        os.lseek(fd, 1024, os.SEEK_SET)  # beyond the number, which others shall read
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    finally:
        os.lseek(fd, 0, os.SEEK_SET)
    return True
