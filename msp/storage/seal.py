"""Files that carry the checksum of themselves, so that one object is enough to prove itself whole.

A format that has room for a name and a value (Parquet's key-value metadata, the
header of safetensors, JSON) is written with 64 zeros as the value, and then the
SHA-256 of that very file takes their place.
"""

from __future__ import annotations

import hashlib
import re

from msp.errors import DamagedError

CHECKSUM_KEY = "msp.sha256"
UNSEALED = "0" * 64

# Between name and value: Parquet's Thrift gives a type and a length, JSON its punctuation.
_MARK = re.compile(rb'msp\.sha256(?:\x18\x40|": ?")(?=[0-9a-f]{64})')
_DIGEST_BYTES = 64


def sealed(data: bytes) -> bytes:
    """Return a file that was written with ``CHECKSUM_KEY: UNSEALED``, with its checksum there."""
    start = _start(data)
    assert start is not None and data[start : start + _DIGEST_BYTES] == UNSEALED.encode()
    return _with_digest(data, start, hashlib.sha256(data).hexdigest())


def check_seal(data: bytes, name: str) -> None:
    """Pass where a sealed file has the bytes that it was written with.

    Raises:
        DamagedError: it is cut short or changed, or was never sealed; says so of ``name``.
    """
    start = _start(data)
    if start is None:
        raise damaged(name, f"{len(data)} bytes, which hold no checksum")
    found = hashlib.sha256(_with_digest(data, start, UNSEALED)).hexdigest()
    if found.encode() != data[start : start + _DIGEST_BYTES]:
        raise damaged(name, f"{len(data)} bytes, whose sha256 is not the {CHECKSUM_KEY} in them")


def damaged(name: str, what: str) -> DamagedError:
    """Return what says that an object is damaged, and how."""
    return DamagedError(
        f"{name}: is damaged ({what}); a command that writes to this run sets it aside and makes "
        "it anew."
    )


def _start(data: bytes) -> int | None:
    marks = [found.end() for found in _MARK.finditer(data)]
    return marks[-1] if marks else None


def _with_digest(data: bytes, start: int, digest: str) -> bytes:
    return data[:start] + digest.encode() + data[start + _DIGEST_BYTES :]
