"""Which keys a store accepts: those that stay under its prefix, on every store alike."""

from __future__ import annotations

from msp.errors import StorageError

# Files whose names end so are being written; they are no objects, and no key may look like one.
UNFINISHED_SUFFIX = ".msp-unfinished"


def checked_key(uri: str, key: str) -> str:
    """Return the key, which stays under the store's prefix.

    Raises:
        StorageError: it is empty or absolute, has an empty part, ``.`` or ``..``,
            a control character, or the name of an unfinished file.
    """
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise StorageError(
            f"{uri}: {key!r} is no key; its parts are separated by single slashes, and none "
            "is empty, '.' or '..'."
        )
    if parts[-1].endswith(UNFINISHED_SUFFIX):
        raise StorageError(f"{uri}: {key!r} is no key; {UNFINISHED_SUFFIX} marks unfinished files.")
    return _encodable(uri, key)


def checked_prefix(uri: str, prefix: str) -> str:
    """Return the listing prefix, which stays under the store's prefix; it may be empty."""
    *folders, _ = prefix.split("/")
    if any(part in ("", ".", "..") for part in folders):
        raise StorageError(
            f"{uri}: {prefix!r} is no prefix; its parts are separated by single slashes, and "
            "none is empty, '.' or '..'."
        )
    return _encodable(uri, prefix)


def _encodable(uri: str, key: str) -> str:
    printable = all(character >= " " and character != "\x7f" for character in key)
    # A lone surrogate has no UTF-8 form, which is what S3 and file systems store.
    if not printable or any("\ud800" <= character <= "\udfff" for character in key):
        raise StorageError(f"{uri}: {key!r} is no key; it holds a character that stores refuse.")
    return key
