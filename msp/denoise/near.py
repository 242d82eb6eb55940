"""Whether a text says what one of many known texts says, or nearly: for seeds and evaluation data.

Within a run near-duplicates are found by a shuffle (:mod:`msp.denoise.duplicates`);
here one side is small and known beforehand, so that a shard can be judged by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from msp.config import DenoiseConfig
from msp.denoise.duplicates import Likeness


class NearTexts:
    """Texts such that ``text in texts`` is true where one of them is alike.

    Args:
        config: ``duplicates`` and ``duplicate_threshold`` say what is alike; where the first is
            none, only what differs in no more than case and punctuation is.
        texts: the known ones.
    """

    def __init__(self, config: DenoiseConfig, texts: Sequence[str]) -> None:
        self._config, self._texts = config, list(texts)
        self._index: dict[int, list[bytes]] | None = None

    def __contains__(self, text: object) -> bool:
        """Say whether a known text is alike; see :class:`msp.denoise.duplicates.Likeness`."""
        likeness = Likeness(self._config)
        if self._index is None:
            self._index = self._indexed(likeness)
        keyed = likeness.keyed([cast(str, text)])
        payload = keyed.payloads[0]
        return any(
            likeness.alike(known, payload)
            for key in keyed.keys[0].tolist()
            for known in self._index.get(key, ())
        )

    def _indexed(self, likeness: Likeness) -> dict[int, list[bytes]]:
        index: dict[int, list[bytes]] = {}
        if not self._texts:
            return index
        keyed = likeness.keyed(self._texts)
        for keys, payload in zip(keyed.keys.tolist(), keyed.payloads, strict=True):
            for key in dict.fromkeys(keys):
                index.setdefault(key, []).append(payload)
        return index
