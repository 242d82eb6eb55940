"""Which keys a store accepts: those that stay under its prefix, on every store alike."""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote

from msp.errors import StorageError

# Files whose names end so are being written; they are no objects, and no key may look like one.
UNFINISHED_SUFFIX = ".msp-unfinished"

_LEAVING = ("", ".", "..")


def checked_key(uri: str, key: str) -> str:
    """Return the key, which stays under the store's prefix.

    A key is read in three ways: as it stands, with look-alike characters folded
    (a full-width slash is a slash), and percent-decoded, since servers, proxies
    and file systems differ in which of these they do.

    Raises:
        StorageError: in one of these readings it is empty or absolute, has an
            empty part, ``.`` or ``..``, or more parts than it shows; or it has a
            backslash, a control or invisible character, or the name of an
            unfinished file.
    """
    for reading in _readings(key):
        if any(part in _LEAVING for part in reading.split("/")):
            raise StorageError(
                f"{uri}: {key!r} is no key; its parts are separated by single slashes, and none "
                "is empty, '.' or '..'."
            )
    if key.endswith(UNFINISHED_SUFFIX):
        raise StorageError(f"{uri}: {key!r} is no key; {UNFINISHED_SUFFIX} marks unfinished files.")
    return _plain(uri, key)


def checked_prefix(uri: str, prefix: str) -> str:
    """Return the listing prefix, which stays under the store's prefix; it may be empty."""
    for reading in _readings(prefix):
        *folders, _ = reading.split("/")
        if any(part in _LEAVING for part in folders):
            raise StorageError(
                f"{uri}: {prefix!r} is no prefix; its parts are separated by single slashes, and "
                "none is empty, '.' or '..'."
            )
    return _plain(uri, prefix)


def _readings(key: str) -> tuple[str, ...]:
    decoded = unquote(key)
    return tuple({key, *(unicodedata.normalize("NFKC", form) for form in (key, decoded)), decoded})


def _plain(uri: str, key: str) -> str:
    # Cc: controls. Cf: invisible, some turn the reading direction. Cs: lone surrogates, which
    # have no UTF-8 form, and that is what S3 and file systems store.
    hidden = any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in key)
    if hidden or any("\\" in reading for reading in _readings(key)):
        raise StorageError(f"{uri}: {key!r} is no key; it holds a character that stores refuse.")
    if any(reading.count("/") != key.count("/") for reading in _readings(key)):
        raise StorageError(f"{uri}: {key!r} is no key; a slash in it is disguised.")
    return key
