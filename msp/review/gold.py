"""From decisions to gold: what people said of one run's candidates, for the runs that follow."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from msp.config import RunConfig
from msp.errors import ConfigError
from msp.records import Example
from msp.review.decisions import Decision, read_decisions, text_sha256
from msp.storage import layout
from msp.storage.parquet import read_table
from msp.storage.run_record import read_run
from msp.storage.store import ObjectStore, open_run_store
from msp.tasks import load_task
from msp.tasks.base import TaskData
from msp.tasks.reviewed import with_reviewed
from msp.tasks.sampling import text_key


@dataclass(frozen=True, slots=True)
class Gold:
    """What people said of a run.

    Args:
        examples: accepted and corrected candidates by candidate id, each text once.
        rejected: texts that people rejected, and those that they corrected; no text of
            ``examples`` is among them.
        num_vanished: decisions on candidates that the run no longer has, or that have another
            text there; they are skipped.
        damaged: keys of decisions that are not as they were written; they are skipped.
    """

    examples: tuple[Example, ...] = ()
    rejected: tuple[str, ...] = ()
    num_vanished: int = 0
    damaged: tuple[str, ...] = ()


def gold_examples(store: ObjectStore) -> Gold:
    """Return what the decisions in a run's store come to.

    Every decision is held against the candidate that it is on, in its shard, so
    that none is ever applied to another text. Of two on the same text the later
    one holds, unless they are on different labels: a text that is wrong for one
    may be right for another.

    Raises:
        ConfigError: no run is there.
        StorageError: a shard that was decided on is damaged, or the store failed.
    """
    if not store.exists(layout.RUN_JSON):
        raise ConfigError(
            f"{store.uri}: no run is there, so nobody can have reviewed it; name the output_uri "
            "of a finished run."
        )
    log = read_decisions(store)
    words = log.words()
    shown = dict(_shown(store, words))
    name = _run_name(store)
    examples: dict[str, tuple[Decision, Example]] = {}
    rejected: dict[str, str] = {}
    for word in sorted(words.values(), key=lambda d: (d.time, d.session, d.number)):
        if word.candidate_id not in shown:
            continue
        text, attributes = shown[word.candidate_id]
        if word.example is not None:
            uid = f"reviewed:{name}:{word.candidate_id}"
            examples[text_key(word.example.text)] = word, replace(word.example, uid=uid)
        elif text_key(text) in examples:
            earlier = examples[text_key(text)][1]
            if set(earlier.attributes) == set(attributes):
                del examples[text_key(text)]
        if word.verdict != "accepted":
            rejected[text_key(text)] = text
    ordered = sorted(examples.values(), key=lambda found: found[0].candidate_id)
    return Gold(
        examples=tuple(example for _, example in ordered),
        rejected=tuple(sorted(text for key, text in rejected.items() if key not in examples)),
        num_vanished=len(words) - len(shown),
        damaged=tuple(sorted(log.damaged)),
    )


def load_reviewed_task(config: RunConfig) -> TaskData:
    """Return the run's task, with the gold of ``task.reviewed`` where there is any.

    Raises:
        UserError: as :func:`msp.tasks.load_task`, or a reviewed run is not there.
        StorageError: as :func:`gold_examples`.
    """
    task = load_task(config.task, seed=config.seed)
    if not config.task.reviewed:
        return task
    found = [(uri, _gold_of(config, uri)) for uri in config.task.reviewed]
    examples = [example for _, gold in found for example in gold.examples]
    taken = {text_key(example.text) for example in examples}
    texts = {text for _, gold in found for text in gold.rejected if text_key(text) not in taken}
    task = with_reviewed(task, examples, sorted(texts), domain=config.task.domain)
    notes = [note for uri, gold in found for note in skipped_notes(uri, gold)]
    return replace(task, notes=(*task.notes, *notes))


def skipped_notes(uri: str, gold: Gold) -> Iterator[str]:
    """Yield what to say of decisions that count for nothing."""
    if gold.num_vanished:
        yield (
            f"skipped {gold.num_vanished} decisions in {uri}: their candidates are no longer "
            "there, or have another text."
        )
    if gold.damaged:
        yield (
            f"skipped {len(gold.damaged)} decisions in {uri} that are damaged, such as "
            f"{gold.damaged[0]}; review those candidates again."
        )


def _gold_of(config: RunConfig, uri: str) -> Gold:
    return gold_examples(open_run_store(config.model_copy(update={"output_uri": uri})))


def _shown(
    store: ObjectStore, words: Mapping[int, Decision]
) -> Iterator[tuple[int, tuple[str, tuple[str, ...]]]]:
    """Yield text and labels of the decided candidates that are still what they were."""
    by_shard: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for word in words.values():
        by_shard[word.round, word.shard].add(word.candidate_id)
    for place in sorted(by_shard):
        key = layout.candidates_key(*place)
        if not store.exists(key):
            continue
        for unit in read_table(store, key).select(["attributes", "candidates"]).to_pylist():
            for candidate in unit["candidates"]:
                number, text = candidate["candidate_id"], candidate["text"]
                if number in by_shard[place] and text_sha256(text) == words[number].text_sha256:
                    yield number, (text, tuple(unit["attributes"]))


def _run_name(store: ObjectStore) -> str:
    """Return eight digits that follow from what defines the run, wherever it lies."""
    fingerprint = json.dumps(read_run(store)["fingerprint"], sort_keys=True)
    return hashlib.sha256(fingerprint.encode()).hexdigest()[:8]
