"""Objects as files of one folder, whole or absent whatever kills the writer."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msp.errors import StoreAccessError
from msp.storage.keys import UNFINISHED_SUFFIX, checked_key, checked_prefix
from msp.storage.store import ObjectInfo
from msp.storage.whole_files import explained, whole_file, write_whole_file_once

_COPY_BYTES = 1 << 20


class LocalStore:
    """An ObjectStore over a folder, which is made by the first write.

    The folder itself may be a symbolic link; below it none is followed, so no
    key leads outside.

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

    def replace(self, key: str, data: bytes | None, *, expected: bytes) -> bool:
        """Replace or remove the object if it holds ``expected``, under the file's own lock."""
        with explained(self._name(key)), _locked(self._path(key)) as found:
            if found != expected:
                return False
            self.delete(key) if data is None else self.write(key, data)
            return True

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
        return self._unlinked(checked_key(self.uri, key))

    def _unlinked(self, key: str) -> Path:
        path = self._root
        for part in filter(None, key.split("/")):
            path /= part
            if path.is_symlink():
                raise self._link_refused(path)
        return path

    def _link_refused(self, path: Path | str) -> StoreAccessError:
        return StoreAccessError(
            f"{path}: is a symbolic link, and a link may lead out of {self.uri}; put what it "
            "points to in its place, or make output_uri the link."
        )

    def _name(self, key: str) -> str:
        return f"{self.uri}/{key}"

    def _walk(self, folder: str, start: str) -> Iterator[ObjectInfo]:
        with explained(self._name(folder)):
            entries = _entries(self._unlinked(folder))
        for entry in entries:
            if entry.is_symlink():
                raise self._link_refused(entry.path)
        # A folder sorts by its name with the slash, which is how S3 sorts keys.
        for name in sorted(f"{e.name}/" if e.is_dir() else e.name for e in entries):
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


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [*entries]
    except (FileNotFoundError, NotADirectoryError):
        return []


def missing_folders(path: Path) -> list[Path]:
    """Return the folders that a first write to ``path`` would make, the deepest first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


@contextmanager
def _locked(path: Path) -> Iterator[bytes | None]:
    """Yield a file's bytes while no other replaces it so; None where there is none."""
    while True:
        try:
            file = path.open("r+b")  # NFS locks only what may be written
        except FileNotFoundError:
            yield None
            return
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Replacing gives the name to another file, whose lock is another one.
            if _is_at(file.fileno(), path):
                yield file.read()
                return


def _is_at(descriptor: int, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False
