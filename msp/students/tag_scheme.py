"""Trees over words as BIO tags, one row of tags a level, and back.

A parse of several levels becomes several taggings, so that a tagger, which a few
hundred texts can train, answers trees that it has never seen. A slot that
holds nothing but an intent is one tag with it (SL:X and IN:Y), as in constituency
parsing, which halves the levels and loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from msp.tasks.brackets import Forest, Node, Span, forest_of, words_in

OUTSIDE = 0
# Cannot stand in a label, which is printable.
_CHAIN = "\x1f"

Tags = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TagScheme:
    """What a tagger can say.

    Args:
        roots: labels of the whole text; empty in a task that only tags.
        levels: of each level, the outermost first, its chains of labels.
    """

    roots: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]

    @property
    def num_tags(self) -> tuple[int, ...]:
        """Tags of each level: O, then B and I of each chain."""
        return tuple(1 + 2 * len(chains) for chains in self.levels)

    @cached_property
    def _columns(self) -> tuple[dict[str, int], ...]:
        return tuple({chain: i for i, chain in enumerate(chains)} for chains in self.levels)

    def tags(self, forest: Forest) -> tuple[int, Tags]:
        """Return the root's number (-1 where there is none) and the tags [L, W] of a forest.

        What the scheme does not know is outside.
        """
        root, forest = _root(forest) if self.roots else ("", forest)
        found = np.full((len(self.levels), len(words_in(forest))), OUTSIDE, dtype=np.int64)
        for depth, span in _chains(forest):
            column = self._columns[depth].get(span.label) if depth < len(self.levels) else None
            if column is not None:
                found[depth, span.start] = 1 + 2 * column
                found[depth, span.start + 1 : span.end] = 2 + 2 * column
        return self.roots.index(root) if root in self.roots else -1, found

    def forest(self, words: Sequence[str], root: int, tags: Tags) -> Forest:
        """Return the forest that tags [L, W] spell; a child outside any parent is left out."""
        spans: list[Span] = []
        parents = [Span(0, len(words), "")]
        for chains, row in zip(self.levels, tags, strict=True):
            here = [
                span
                for span in _spans(row, chains)
                if any(p.start <= span.start and span.end <= p.end for p in parents)
            ]
            for span in here:
                spans += [Span(span.start, span.end, name) for name in span.label.split(_CHAIN)]
            parents = here
        forest = forest_of(words, spans)
        return (Node(self.roots[root], forest),) if self.roots else forest


def make_scheme(forests: Iterable[Forest], *, has_root: bool) -> TagScheme:
    """Return the scheme of all that stands in some forests, in an order of its own.

    Args:
        forests: of the seed examples, and of other real examples that are learned from.
        has_root: whether a label stands around every whole text.
    """
    roots: set[str] = set()
    levels: list[set[str]] = []
    for forest in forests:
        if has_root:
            root, forest = _root(forest)
            roots.add(root)
        for depth, span in _chains(forest):
            levels += [set() for _ in range(depth + 1 - len(levels))]
            levels[depth].add(span.label)
    return TagScheme(tuple(sorted(roots)), tuple(tuple(sorted(level)) for level in levels))


def _root(forest: Forest) -> tuple[str, Forest]:
    (root,) = forest
    assert isinstance(root, Node)
    return root.label, root.children


def _chains(forest: Forest, start: int = 0, depth: int = 0) -> Iterable[tuple[int, Span]]:
    """Yield (level, span) of every chain of labels over the same words; empty ones are none."""
    for part in forest:
        if isinstance(part, str):
            start += 1
            continue
        names = [part.label]
        inner = part.children
        while len(inner) == 1 and isinstance(inner[0], Node):
            names.append(inner[0].label)
            inner = inner[0].children
        end = start + len(words_in(inner))
        if end > start:
            yield depth, Span(start, end, _CHAIN.join(names))
            yield from _chains(inner, start, depth + 1)
        start = end


def _spans(row: Tags, chains: Sequence[str]) -> list[Span]:
    """Return the spans of one level; an I that continues nothing begins one."""
    spans: list[Span] = []
    before = -1
    for place, tag in enumerate(row.tolist()):
        column = (tag - 1) // 2 if tag else -1
        if tag and tag % 2 == 0 and column == before:
            spans[-1] = Span(spans[-1].start, place + 1, spans[-1].label)
        elif tag:
            spans.append(Span(place, place + 1, chains[column]))
        before = column
    return spans
