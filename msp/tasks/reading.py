"""Reading JSON that strangers wrote: every fault is a message that names its place and is short."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from msp.errors import TaskDataError, did_you_mean

MAX_TEXT_CHARS = 20_000
MAX_LINE_BYTES = 1 << 20
MAX_FILE_BYTES = 64 << 20

_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile("[\ud800-\udfff]")
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


def shown(value: object) -> str:
    """Return the value as a message shows it: its repr, never longer than a line."""
    return _short.repr(value)[:200]


def checked_text(found: Any, where: str, *, max_chars: int = MAX_TEXT_CHARS) -> str:
    """Return ``found`` when it is a string with something in it that UTF-8 can hold.

    Raises:
        TaskDataError: it is not; the message opens with ``where``.
    """
    if not isinstance(found, str):
        raise TaskDataError(f"{where} is {shown(found)}; write a string.")
    if not found.strip():
        raise TaskDataError(f"{where} is empty; write a string with something in it.")
    if len(found) > max_chars:
        raise TaskDataError(
            f"{where} has {len(found):,} characters, but at most {max_chars:,} are allowed."
        )
    if _SURROGATE.search(found):
        raise TaskDataError(f"{where} is {shown(found)}, half of a character pair; repair it.")
    return found


def check_keys(found: Mapping[Any, Any], known: Collection[str], where: str) -> None:
    """Refuse a mapping with a key that is not known.

    Raises:
        TaskDataError: it has one; the message opens with ``where``.
    """
    for key in found:
        if key not in known:
            near = did_you_mean(str(key), known)
            raise TaskDataError(
                f"{where}: key {shown(key)} is not known; it may have {', '.join(known)}"
                f"{near or '.'}"
            )


def read_json(path: Path) -> Any:
    """Return what a JSON file of at most 64 MiB holds; a BOM is skipped.

    Raises:
        TaskDataError: the file cannot be read, is too large, is not UTF-8, is
            not JSON, or has a key twice in one object.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(content) > MAX_FILE_BYTES:
        raise TaskDataError(f"{path}: is larger than {MAX_FILE_BYTES >> 20} MiB.")
    if not content.strip():
        raise TaskDataError(f"{path}: is empty.")
    return _parse(content.removeprefix(_BOM), path.name)


def read_json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line number from 1, value) for each line that is not blank, one line in memory.

    A BOM, Windows line ends and blank lines are tolerated.

    Raises:
        TaskDataError: the file cannot be read; or a line, which is named, is
            longer than 1 MiB, not UTF-8, not JSON, or has a key twice.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                where = f"{path.name}, line {number}"
                if len(line) > MAX_LINE_BYTES:
                    raise TaskDataError(
                        f"{where}: is longer than {MAX_LINE_BYTES >> 20} MiB; "
                        "write one JSON object a line."
                    )
                line = line.removeprefix(_BOM) if number == 1 else line
                if line.strip():
                    yield number, _parse(line, where)
    except OSError as error:
        raise _unreadable(path, error) from error


def read_lines(path: Path, encoding: str = "UTF-8") -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) of a text file, one line in memory.

    Raises:
        TaskDataError: the file cannot be read; or a line, which is named, is
            longer than 1 MiB or not in its encoding.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                where = f"{path.name}, line {number}"
                if len(line) > MAX_LINE_BYTES:
                    raise TaskDataError(f"{where}: is longer than {MAX_LINE_BYTES >> 20} MiB.")
                line = line.removeprefix(_BOM) if number == 1 else line
                yield number, _decoded(line, where, encoding).rstrip("\r\n")
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> TaskDataError:
    return TaskDataError(f"{path}: cannot be read ({error.strerror}).")


def _decoded(content: bytes, where: str, encoding: str = "UTF-8") -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start)
        place = f"{where}, line {line + 1}" if line else where
        byte = content[error.start]
        raise TaskDataError(
            f"{place}: is not {encoding} (byte 0x{byte:02x}); save the file as {encoding}."
        ) from error


def _parse(content: bytes, where: str) -> Any:
    text = _decoded(content, where)
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _no_key_twice(pairs, where))
    except json.JSONDecodeError as error:
        place = (
            f"line {error.lineno}, column {error.colno}"
            if error.lineno > 1
            else (f"column {error.colno}")
        )
        raise TaskDataError(f"{where}: is not JSON ({error.msg} at {place}).") from error
    except (ValueError, RecursionError) as error:
        raise TaskDataError(f"{where}: is not JSON that can be read ({error}).") from error


def _no_key_twice(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for i, name in enumerate(names) if name in names[:i])
        raise TaskDataError(f"{where}: has {shown(doubled)} twice; leave one of them out.")
    return found
