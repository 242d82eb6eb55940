"""What evaluation texts must not be found in a training set, and whether a candidate holds one.

A candidate is contaminated where it says what an evaluation text says, or
shares thirteen words in a row with one (the length that GPT-3's authors used,
arXiv 2005.14165, appendix C). Texts are held as hashes, eight bytes for each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path

from msp.denoise.rules import normalise
from msp.errors import ConfigError, TaskDataError

NUM_WORDS = 13
_WANTED = "each line is a JSON object whose text is a string."


class EvaluationTexts:
    """The evaluation texts of a run, as hashes.

    Args:
        texts: in any order; empty ones are ignored.
        near: where given, what is nearly one of them counts, too.
    """

    def __init__(self, texts: Iterable[str], *, near: Container[str] = ()) -> None:
        self._near = near
        self._hashes: set[int] = set()
        for text in texts:
            self._hashes.update(_hashes(normalise(text)))

    def __len__(self) -> int:
        return len(self._hashes)

    def contaminate(self, normalised: str) -> bool:
        """Say whether a text, normalised, holds an evaluation text or thirteen words of one."""
        held = any(value in self._hashes for value in _hashes(normalised))
        return held or normalised in self._near


def read_evaluation_texts(paths: Sequence[str]) -> Iterator[str]:
    """Yield the texts of ``denoise.decontaminate``: a line each, or the ``text`` of JSON lines.

    Raises:
        ConfigError: a file is not there or of another kind.
        TaskDataError: a line cannot be read; names file and line.
    """
    for name in paths:
        path = Path(name).expanduser()
        if path.suffix not in (".txt", ".jsonl") or not path.is_file():
            raise ConfigError(
                f"denoise.decontaminate: {name} is not a .txt or .jsonl file that is there; give "
                "files with a text a line, or JSON lines with a text each."
            )
        try:
            with path.open(encoding="utf-8") as lines:
                yield from _texts(path, lines)
        except UnicodeDecodeError as error:
            raise TaskDataError(f"{path}: is not UTF-8 text ({error}).") from error


def content_hash(paths: Sequence[str]) -> str:
    """Return the sha256 over the files' bytes: what they hold defines a run, not their names."""
    digest = hashlib.sha256()
    for name in paths:
        digest.update(Path(name).expanduser().read_bytes())
    return digest.hexdigest()


def _texts(path: Path, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if path.suffix == ".txt" or not line.strip():
            yield line
            continue
        try:
            text = json.loads(line)["text"]
        except (ValueError, KeyError, TypeError) as error:
            raise TaskDataError(f"{path}, line {number}: {error!r}; {_WANTED}") from error
        if not isinstance(text, str):
            raise TaskDataError(f"{path}, line {number}: text is {text!r}; {_WANTED}")
        yield text


def _hashes(normalised: str) -> Iterator[int]:
    words = normalised.split()
    if not words:
        return
    yield hash_words(words)
    for start in range(len(words) - NUM_WORDS + 1):
        yield hash_words(words[start : start + NUM_WORDS])


def hash_words(words: Sequence[str]) -> int:
    """Return 64 bits for words in a row, the same in every process."""
    digest = hashlib.blake2b(" ".join(words).encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")
