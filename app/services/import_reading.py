"""Files of JSON, read bit by bit: lines, one value, or an array, packed by gzip or not.

What a file holds is told by its content, never by its name. All of this blocks and is called in
threads. What is wrong with one line concerns that line alone; what ends the reading for good is
raised after everything before it was given.
"""

import codecs
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import orjson

from app.domain.elements import ElementReader
from app.domain.errors import MalformedBodyError
from app.domain.lines import Line, LineReader

BLOCK: Final = 1 << 18
_HEAD: Final = 1 << 16
_UNPACKED: Final = 1 << 14  # what stands close before a damage is given, too
_GZIP: Final = b"\x1f\x8b"
_WITH_HEADER: Final = 31  # zlib: a gzip member of any window size


class FileFormat(StrEnum):
    """What a file holds, as far as its first bytes tell."""

    EMPTY = "empty"
    NDJSON = "ndjson"
    JSON = "json"
    TABLE = "table"


class UnreadableFileError(Exception):
    """A file can't be read, or not to its end; the text says where and why, for people."""


class JsonFile:
    """The values of a file of JSON, one after the other.

    Attributes:
        size: Bytes of the file on disk.
        read: How many of them were read so far.
    """

    def __init__(self, path: Path, file_format: FileFormat, *, limit: int) -> None:
        self._path = path
        self._format = file_format
        self._limit = limit
        self._open = ExitStack()
        self._file: IO[bytes] = self._open.enter_context(path.open("rb"))
        self.size = path.stat().st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    @property
    def read(self) -> int:
        """How many bytes of the file on disk were read so far."""
        return self.size if self._file.closed else min(self.size, self._file.tell())

    def lines(self) -> Iterator[Line]:
        """Give the values, each as the line that it is or could be.

        Elements of an array are numbered like lines, from 1.

        Raises:
            UnreadableFileError: The rest of the file can't be read.
        """
        if self._format is FileFormat.NDJSON:
            yield from self._cut_lines()
            return
        elements = ElementReader(limit=self._limit)
        try:
            for text in _text(_blocks(self._file)):
                yield from elements.feed(text)
            yield from elements.finish()
        except MalformedBodyError as error:
            raise UnreadableFileError(
                f"{error} Mend it and send all of it again; nothing is taken twice. "
                "JSON 格式有误，请修正后重新发送。"
            ) from None

    def _cut_lines(self) -> Iterator[Line]:
        reader = LineReader(limit=self._limit)
        broken: UnreadableFileError | None = None
        try:
            for block in _blocks(self._file):
                yield from reader.feed(block)
        except UnreadableFileError as error:
            broken = error
        except MalformedBodyError as error:
            broken = UnreadableFileError(f"{error} 请将文件另存为 UTF-8 编码的逐行 JSON。")
        yield from reader.finish()
        if broken is not None:
            raise broken


def format_of(path: Path) -> FileFormat:
    """Tell what a file holds from its first bytes, unpacked if they are packed.

    Raises:
        UnreadableFileError: It is packed, and broken from the start.
        OSError: It can't be opened.
    """
    start = _head(path).removeprefix(codecs.BOM_UTF8).lstrip()
    if not start:
        return FileFormat.EMPTY
    if start.startswith(b"["):
        return FileFormat.JSON
    if start.startswith(b"{"):
        return FileFormat.NDJSON if _is_in_lines(start) else FileFormat.JSON
    return FileFormat.TABLE


def _head(path: Path) -> bytes:
    head = b""
    with path.open("rb") as file:
        try:
            for block in _blocks(file):
                head += block
                if len(head) >= _HEAD:
                    break
        except UnreadableFileError:
            if not head:
                raise
    return head


def _is_in_lines(head: bytes) -> bool:
    """Tell lines of JSON from one value that is laid out over lines: by the first two."""
    lines = [line for line in head.splitlines() if line.strip()][:2]
    if len(lines) == 1:
        return True
    return any(_is_json(line) for line in lines)


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Give what a file holds, unpacked.

    Raises:
        UnreadableFileError: It is packed, and cut off or damaged.
    """
    block = file.read(BLOCK)
    if not block.startswith(_GZIP):
        while block:
            yield block
            block = file.read(BLOCK)
        return
    member = zlib.decompressobj(_WITH_HEADER)
    try:
        while block:
            yield member.decompress(block, _UNPACKED)
            block = member.unconsumed_tail
            if member.eof:
                block = member.unused_data.lstrip(b"\0")
                member = zlib.decompressobj(_WITH_HEADER)
                if not (block := block or file.read(BLOCK).lstrip(b"\0")):
                    return
            elif not block:
                block = file.read(BLOCK)
    except zlib.error as error:
        raise UnreadableFileError(
            f"The packed data (gzip) are damaged before byte {file.tell()}: {error}. "
            "Send the file again. 压缩文件已损坏，请重新发送。"
        ) from None
    raise UnreadableFileError(
        "The packed data (gzip) end in the middle: the file is cut off. "
        "Send all of it again; nothing is taken twice. 压缩文件不完整，请重新发送。"
    )


def _text(blocks: Iterator[bytes]) -> Iterator[str]:
    """Decode as UTF-8.

    Raises:
        UnreadableFileError: It is something else.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    done = 0
    try:
        for block in blocks:
            yield decoder.decode(block)
            done += len(block)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise UnreadableFileError(
            f"The file is not UTF-8: byte {done + error.start} can't be read. "
            "Save it as UTF-8. 文件不是 UTF-8 编码，请另存为 UTF-8。"
        ) from None
