"""Local files that are whole or absent: written aside, brought to the disk, then named.

A killed writer leaves at most a file whose name ends in UNFINISHED_SUFFIX.
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from msp.errors import StorageError, StoreAccessError
from msp.storage.keys import UNFINISHED_SUFFIX

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}
_NUM_TRIES = 5


@contextmanager
def whole_file(path: Path, *, name: str | None = None) -> Iterator[BinaryIO]:
    """Yield a file to write; afterwards ``path`` holds all of it, or is as it was before.

    Args:
        path: what is replaced; its folder is made.
        name: what messages call it; the path by default.

    Raises:
        StorageError: such as by a full disk.
        StoreAccessError: the folder cannot be made or written.
    """
    with explained(name or str(path)), _unfinished(path) as (file, unfinished):
        yield file
        to_disk(file)
        os.replace(unfinished, path)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn an OSError of the body into a StorageError that says what to do."""
    try:
        yield
    except OSError as error:
        raise _storage_error(name, error) from error


def write_whole_file_once(path: Path, data: bytes, *, name: str) -> bool:
    """Return True if ``path`` holds ``data`` by this call, False if there was a file already.

    A hard link is the one atomic way to give a finished file a name only where
    that name is free, across processes and over NFS.
    """
    with explained(name), _unfinished(path) as (file, unfinished):
        file.write(data)
        to_disk(file)
        try:
            os.link(unfinished, path)
        except FileExistsError:
            if path.is_dir():
                raise StorageError(f"{name}: a folder is where a file must be.") from None
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            raise StoreAccessError(
                f"{name}: the file system refuses hard links ({error.strerror}), which objects "
                "that are written once need; put output_uri on another disk, on NFS or on S3."
            ) from error
        return True


def to_disk(file: BinaryIO) -> None:
    """Return once the file's bytes survive a power cut."""
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _unfinished(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    file, unfinished = _new_file(path.parent)
    try:
        with file:
            yield file, unfinished
        _folder_to_disk(path.parent)
    finally:
        with suppress(FileNotFoundError):  # it has its name by now
            unfinished.unlink()


def _new_file(folder: Path) -> tuple[BinaryIO, Path]:
    unfinished = folder / f"{uuid.uuid4().hex}{UNFINISHED_SUFFIX}"
    for _ in range(_NUM_TRIES):
        # Another process may remove the folder while it is still empty.
        with suppress(FileNotFoundError):
            folder.mkdir(parents=True, exist_ok=True)
            return unfinished.open("xb"), unfinished
    raise PermissionError(errno.EACCES, "its folder cannot be made")


def _folder_to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _storage_error(name: str, error: OSError) -> StorageError:
    what = error.strerror or str(error)
    if error.errno in _FULL:
        return StorageError(
            f"{name}: cannot be written, the disk or its quota is full ({what}); free some space "
            "and run the same command again, which continues, or choose another output_uri."
        )
    if isinstance(error, FileNotFoundError):
        return StorageError(f"{name}: is not there.")
    if isinstance(error, NotADirectoryError | FileExistsError):
        return StoreAccessError(
            f"{name}: a file is where a folder must be ({what}); choose another output_uri."
        )
    if error.errno in _REFUSED:
        return StoreAccessError(
            f"{name}: is refused ({what}); choose an output_uri that this user may write."
        )
    return StorageError(f"{name}: the file system failed ({what}).")
