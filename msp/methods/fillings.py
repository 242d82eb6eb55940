"""Other strings for what a seed example's labels stand over, so that units differ in what they ask.

A tagger that has seen one sentence's names many times learns the names; the same
labels over the names of other seed examples teach the sentence around them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from msp.records import Constraint, Example
from msp.tasks.base import TaskData
from msp.tasks.brackets import Forest, Node, labels_in, read_brackets, words_in, write_brackets
from msp.tasks.ontology import Ontology

_SWAP_CHANCE = 0.5


class Fillings:
    """Every string that a label stands over in the seed examples; empty where no label stands.

    Args:
        task: of a kind that tags or parses; of any other, nothing is ever swapped.
    """

    def __init__(self, task: TaskData) -> None:
        self._kind = task.kind
        self._ontology = task.ontology
        self._tags = frozenset(task.tags)
        self._nodes: dict[tuple[str, ...], list[Node]] = {}
        if task.kind in ("tagging", "parse"):
            for example in task.seeds:
                for node in _outer(read_brackets(example.target or "")):
                    self._nodes.setdefault(tuple(labels_in((node,))), []).append(node)

    def swapped(self, example: Example, rng: np.random.Generator) -> Constraint | None:
        """Return an example's constraint with about half of its strings those of other examples.

        None where no label of it stands over words.
        """
        forest = read_brackets(example.target or "") if self._nodes else ()
        if not _outer(forest):
            return None
        # An example without a root has its spans at the top.
        root = forest[0] if self._kind == "parse" and isinstance(forest[0], Node) else None
        parts = tuple(self._swap(part, rng) for part in (root.children if root else forest))
        filled: Forest = (Node(root.label, parts),) if root else parts
        return Constraint(
            attributes=example.attributes,
            values=_values(filled, self._ontology),
            domain=example.domain,
            target=write_brackets(filled),
        )

    def drawn(
        self, labels: Collection[str], pair: Sequence[Example], rng: np.random.Generator
    ) -> dict[str, tuple[str, ...]]:
        """Return one string for each of the labels that stand over words, from two examples."""
        values: dict[str, tuple[str, ...]] = {}
        for label in self._ontology.order(labels):
            found = [text for e in pair for text in e.values.get(label, ())]
            if label in self._tags and found:
                values[label] = (found[int(rng.integers(len(found)))],)
        return values

    def _swap(self, part: Node | str, rng: np.random.Generator) -> Node | str:
        if isinstance(part, str) or rng.random() >= _SWAP_CHANCE:
            return part
        # The same labels inside, so that the constraint's attributes stay as they are.
        others = self._nodes[tuple(labels_in((part,)))]
        return others[int(rng.integers(len(others)))]


def _outer(forest: Forest) -> list[Node]:
    """Return the outermost labelled spans with words, below the root of a parse."""
    if len(forest) == 1 and isinstance(forest[0], Node) and forest[0].label.startswith("IN:"):
        forest = forest[0].children
    return [part for part in forest if isinstance(part, Node) and words_in(part.children)]


def _values(forest: Forest, ontology: Ontology) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for node in _outer(forest):
        found.setdefault(node.label, []).append(" ".join(words_in(node.children)))
    return {label: tuple(dict.fromkeys(found[label])) for label in ontology.order(found)}
