"""Readers for pre-training text, and the held-out split that every reader shares."""

from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from msp.errors import ConfigError, TaskDataError

HELD_OUT_PER_THOUSAND = 10


@dataclass(frozen=True, slots=True)
class Utterance:
    """One annotated turn; `values` all occur in `text`, `attributes` are lower-case words."""

    source: str
    domain: str
    speaker: str
    attributes: tuple[str, ...]
    values: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """One text: the turns of a dialogue or the paragraphs of a document."""

    corpus: str
    segments: tuple[str, ...]


def is_held_out(text: str) -> bool:
    """True for about 1 % of texts, by their bytes alone, so a repeat is on the same side."""
    return zlib.crc32(text.strip().lower().encode()) % 1000 < HELD_OUT_PER_THOUSAND


def check_inputs(paths: Sequence[Path]) -> None:
    """Every input is a file of a kind that pre-training reads.

    Raises:
        ConfigError: one is not there, or has another ending.
    """
    for path in paths:
        if _kind(path) not in ("jsonl", "txt"):
            raise ConfigError(
                f"data.inputs: {path} is neither .txt nor .jsonl (nor either of them with .xz)."
            )
        if not path.is_file():
            raise ConfigError(f"data.inputs: {path} is not there; give files that exist.")


def read_inputs(paths: Sequence[Path]) -> tuple[list[Utterance], list[Document]]:
    """All utterances and documents of the files, told apart by their endings.

    They are held in memory, about four bytes for each byte of text.

    Raises:
        ConfigError: a file is not there or has another ending.
        TaskDataError: a file cannot be read, or they hold no text at all.
    """
    utterances: list[Utterance] = []
    documents: list[Document] = []
    check_inputs(paths)
    for path in paths:
        if _kind(path) == "jsonl":
            utterances += read_utterances(path)
        else:
            documents += read_documents(path)
    if not utterances and not documents:
        raise TaskDataError(f"data.inputs: {len(paths)} files hold no text; give at least one.")
    return utterances, documents


def read_utterances(path: Path) -> Iterator[Utterance]:
    """Utterances of a `.jsonl` or `.jsonl.xz` file, in file order.

    Each line is `{source, domain, speaker, attributes, values, text}`; only
    `attributes` and `text` are required.

    Raises:
        TaskDataError: a line is not such an object; the message names file and line.
    """
    for number, line in _lines(path):
        try:
            yield _utterance(json.loads(line), source=path.name.split(".")[0])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TaskDataError(
                f"{path}, line {number}: {error!r}; each line must be a JSON object with at least "
                '"attributes" (a list of strings) and "text".'
            ) from error


def read_documents(path: Path) -> Iterator[Document]:
    """Documents of a `.txt` or `.txt.xz` file, one a line.

    With tabs in it a line is `corpus TAB segment TAB segment ...`; without, it
    is one segment of the corpus that the file is named after.
    """
    for _, line in _lines(path):
        first, *segments = line.split("\t")
        kept = tuple(segment.strip() for segment in segments if segment.strip())
        if segments:
            if kept:
                yield Document(corpus=first.strip(), segments=kept)
        else:
            yield Document(corpus=path.name.split(".")[0], segments=(first.strip(),))


def _kind(path: Path) -> str:
    return path.name.removesuffix(".xz").rpartition(".")[2]


def _utterance(row: dict[str, Any], *, source: str) -> Utterance:
    attributes, values = row["attributes"], row.get("values", [])
    if not isinstance(attributes, list) or not isinstance(values, list):
        raise TypeError("attributes and values must be lists")
    return Utterance(
        source=str(row.get("source", source)),
        domain=str(row.get("domain", "general")),
        speaker=str(row.get("speaker", "user")),
        attributes=tuple(str(name) for name in attributes),
        values=tuple(str(value) for value in values),
        text=" ".join(str(row["text"]).split()),
    )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except (EOFError, OSError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise TaskDataError(
            f"{path}, after line {number}: cannot be read ({error}); "
            "pre-training reads UTF-8 text, plain or packed with xz."
        ) from error


def _open(path: Path) -> IO[str]:
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")
