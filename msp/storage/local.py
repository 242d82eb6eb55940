"""Objects as files of one folder, whole or absent whatever kills the writer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from msp.storage.keys import UNFINISHED_SUFFIX, checked_key, checked_prefix
from msp.storage.store import ObjectInfo
from msp.storage.whole_files import explained, whole_file, write_whole_file_once

_COPY_BYTES = 1 << 20


class LocalStore:
    """An ObjectStore over a folder, which is made by the first write.

    Args:
        root: the folder's absolute path.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def uri(self) -> str:
        """The folder's path."""
        return str(self._root)

    def read(self, key: str) -> bytes:
        """Return the object's bytes."""
        path = self._path(key)
        with explained(self._name(key)):
            return path.read_bytes()

    def write(self, key: str, data: bytes) -> None:
        """Replace the object at once."""
        with whole_file(self._path(key), name=self._name(key)) as file:
            file.write(data)

    def write_once(self, key: str, data: bytes) -> bool:
        """Make the object if its name is free."""
        if self.exists(key):
            return False
        return write_whole_file_once(self._path(key), data, name=self._name(key))

    def exists(self, key: str) -> bool:
        """Return whether the object is there."""
        path = self._path(key)
        with explained(self._name(key)):
            return path.is_file()

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose keys start with ``prefix``, one folder per level in memory."""
        folder, slash, start = checked_prefix(self.uri, prefix).rpartition("/")
        return self._walk(f"{folder}{slash}", start)

    def delete(self, key: str) -> None:
        """Remove the object."""
        path = self._path(key)
        with explained(self._name(key)), suppress(NotADirectoryError):
            path.unlink(missing_ok=True)

    def upload(self, key: str, path: str | Path) -> None:
        """Copy a file into the object, streamed."""
        with (
            explained(str(path)),
            Path(path).open("rb") as source,
            whole_file(self._path(key), name=self._name(key)) as file,
        ):
            shutil.copyfileobj(source, file, _COPY_BYTES)

    def download(self, key: str, path: str | Path) -> None:
        """Copy the object into a file, streamed."""
        with (
            explained(self._name(key)),
            self._path(key).open("rb") as source,
            whole_file(Path(path)) as file,
        ):
            shutil.copyfileobj(source, file, _COPY_BYTES)

    def _path(self, key: str) -> Path:
        return self._root / checked_key(self.uri, key)

    def _name(self, key: str) -> str:
        return f"{self.uri}/{key}"

    def _walk(self, folder: str, start: str) -> Iterator[ObjectInfo]:
        with explained(self._name(folder)):
            names = _sorted_names(self._root / folder)
        for name in names:
            if not name.startswith(start):
                continue
            if name.endswith("/"):
                yield from self._walk(folder + name, "")
            elif not name.endswith(UNFINISHED_SUFFIX):
                yield from self._found(folder + name)

    def _found(self, key: str) -> Iterator[ObjectInfo]:
        # A file may have been removed since its folder was read.
        with explained(self._name(key)), suppress(FileNotFoundError):
            yield ObjectInfo(key, (self._root / key).stat().st_size)


def missing_folders(path: Path) -> list[Path]:
    """Return the folders that a first write to ``path`` would make, the deepest first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def _sorted_names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            # A folder sorts by its name with the slash, which is how S3 sorts keys.
            return sorted(e.name + "/" if e.is_dir() else e.name for e in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
