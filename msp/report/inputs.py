"""What a report is made of, beside the store: the figures and the task they are about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msp.records import Example
from msp.tasks.ontology import Ontology


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """Everything but the candidates; any part of ``metrics`` and ``run`` may still be missing.

    Args:
        metrics: the content of metrics.json so far.
        run: the content of run.json: ``config``, ``fingerprint`` and ``versions``.
        task_notes: what the reader says about the data, one sentence each.
        seeds: the seed examples of the run.
        ontology: the task's ontology.
    """

    metrics: Mapping[str, Any]
    run: Mapping[str, Any]
    task_notes: Sequence[str]
    seeds: Sequence[Example]
    ontology: Ontology

    def metric(self, *keys: str) -> Any:
        """Return a nested figure of ``metrics``; None where any key on the way is missing."""
        return _nested(self.metrics, keys)

    def setting(self, *keys: str) -> Any:
        """Return a nested value of the run's resolved config; None where it is missing."""
        return _nested(self.run.get("config"), keys)


def _nested(tree: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(key)
    return tree
