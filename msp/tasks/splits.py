"""From what a reader found to splits that do not leak into each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from msp.config import TaskConfig
from msp.errors import ConfigError, TaskDataError
from msp.records import Example
from msp.tasks.base import Kind, TaskData, content_hash
from msp.tasks.brackets import write_brackets
from msp.tasks.ontology import Ontology
from msp.tasks.placing import tag_values
from msp.tasks.sampling import draw_few, draw_shots, hold_out, names_of, text_key

MAX_NAMED_IN_NOTE = 5

# Of data that names no test split.
TEST_FRACTION = 0.2


@dataclass(frozen=True)
class Parts:
    """The examples of a task as its reader found them.

    Args:
        training: seed examples, and dev where ``dev`` is empty.
        dev: the dev split that the data names, or nothing.
        test: the test split.
        source: the file or folder, for messages.
        dev_fraction: share of ``training`` that becomes dev where ``dev`` is empty.
        notes: what the reader has to say.
        kind: what the student answers.
        tags: of tagging: what stands over words.
        others: labelled examples of other domains.
        has_shots: ``training`` is a published few-shot split; none is drawn from it.
    """

    training: Sequence[Example]
    dev: Sequence[Example]
    test: Sequence[Example]
    source: str
    dev_fraction: float
    notes: tuple[str, ...] = ()
    kind: Kind = "multilabel"
    tags: tuple[str, ...] = ()
    others: Sequence[Example] = ()
    has_shots: bool = False


def build_task(
    parts: Parts, ontology: Ontology, *, domain: str, config: TaskConfig, seed: int
) -> TaskData:
    """Return the task: no text in two splits, few-shot drawn, dev there.

    A text that stands in two splits (case, punctuation and space aside) is left
    out of the seed examples, or out of dev where the other is test. Then
    ``max_seed_examples`` limits the training part, and where the data names no
    dev split ``parts.dev_fraction`` of that part is held out: what a few-shot user
    labels in all is at most ``max_seed_examples``.

    Raises:
        TaskDataError: no seed or no test example.
        ConfigError: ``dev_fraction`` leaves nothing to train on.
    """
    if parts.dev_fraction >= 1 and not parts.dev:
        raise ConfigError(
            f"task.dev_fraction is {config.dev_fraction}, which leaves no seed example; "
            "hold out less, such as 0.2."
        )
    parts, long_note = _without_long_texts(parts, config.max_text_chars)
    dev, dev_note = without_texts_of(parts.dev, parts.test, "dev examples", "test")
    training, test_note = without_texts_of(parts.training, parts.test, "seed examples", "test")
    seeds, seed_note = without_texts_of(training, dev, "seed examples", "dev")
    for split, name in ((seeds, "seed"), (parts.test, "test")):
        if not split:
            raise TaskDataError(
                f"{parts.source}: has no {name} example{_in_words(test_note)}; "
                "a task needs seed and test examples."
            )
    if config.shots is not None and not parts.has_shots:
        seeds = draw_shots(seeds, config.shots, seed=seed)
    if config.max_seed_examples is not None:
        seeds = draw_few(seeds, config.max_seed_examples, seed=seed)
    if not dev:
        seeds, dev = hold_out(seeds, parts.dev_fraction, seed=seed, purpose="dev")
    test, new_note = tuple(parts.test), ""
    if config.compositional:
        test, new_note = _only_new(parts, seeds, dev)
    if config.max_test_examples is not None:
        test = draw_few(test, config.max_test_examples, seed=seed)
    # From the whole test split, whatever is scored, all others are kept away.
    held = (*dev, *parts.test)
    others, other_note = without_texts_of(
        parts.others, held, "examples of other domains", "dev or test"
    )
    notes = (*parts.notes, long_note, dev_note, test_note, seed_note, other_note, new_note)
    splits = (seeds, dev, test, *([others] if others else []))
    return TaskData(
        ontology=ontology,
        domain=domain,
        seeds=seeds,
        dev=dev,
        test=test,
        content_hash=content_hash(ontology, *splits),
        notes=tuple(note for note in (*notes, *gaps(ontology, seeds, dev)) if note),
        kind=parts.kind,
        tags=parts.tags,
        source=others,
    )


def _num_chars(example: Example, kind: Kind) -> int:
    """Return an example's length, a question's with its context and options."""
    beside = len(example.target or "") if kind == "choice" else 0
    return len(example.text) + beside


def _without_long_texts(parts: Parts, limit: int | None) -> tuple[Parts, str]:
    """Return the parts without longer seed and dev examples, and a note on these."""
    if limit is None:
        return parts, ""
    training, dev = (
        tuple(example for example in split if _num_chars(example, parts.kind) <= limit)
        for split in (parts.training, parts.dev)
    )
    before = len(parts.training) + len(parts.dev)
    left_out = before - len(training) - len(dev)
    note = (
        f"left out {left_out} of {before} seed and dev examples: longer than {limit} characters "
        "(task.max_text_chars)."
    )
    return replace(parts, training=training, dev=dev), note if left_out else ""


def _only_new(
    parts: Parts, seeds: Sequence[Example], dev: Sequence[Example]
) -> tuple[tuple[Example, ...], str]:
    """Return the test examples whose labels are new together, each known by itself, and a note.

    Raises:
        ConfigError: texts of the task have one label each, or no test example is like that.
    """
    if parts.kind == "single_label":
        raise ConfigError(
            f"task.compositional is set, but each text of {parts.source} has exactly one label; "
            "leave it out, since there is nothing to combine."
        )
    known = {name for example in seeds for name in _combined(example, parts.kind)}
    together = {_combined(example, parts.kind) for example in (*seeds, *dev)}
    found = tuple(
        example
        for example in parts.test
        if len(names := _combined(example, parts.kind)) > 1
        and names <= known
        and names not in together
    )
    if not found:
        raise ConfigError(
            f"task.compositional is set, but none of the {len(parts.test)} test examples of "
            f"{parts.source} carries labels that are known one by one and new together; use fewer "
            "seed examples (task.max_seed_examples), or leave it out."
        )
    return found, (
        f"{len(found)} of {len(parts.test)} test examples are left: their labels are new together "
        "(task.compositional)."
    )


def _combined(example: Example, kind: Kind) -> frozenset[str]:
    """Return what an example carries of what students answer."""
    if kind == "multilabel":
        return frozenset(example.attributes)
    slots = {slot for slot, texts in example.values.items() if texts}
    return frozenset(slots if kind == "tagging" else {*example.attributes, *slots})


def tagged(parts: Parts, slots: Sequence[str]) -> Parts:
    """Return the parts of a task that tags slots where their values occur in the texts.

    Raises:
        ConfigError: the ontology has no slots.
    """
    if not slots:
        raise ConfigError("task.predict is slots, but the ontology has none; list some as slots.")
    before = (parts.training, parts.dev, parts.test)
    training, dev, test = map(_tagged, before)
    num = sum(map(len, before))
    left_out = num - len(training) - len(dev) - len(test)
    note = (
        f"left out {left_out} of {num} examples: one value stands only inside another, or two "
        "slots have the same one."
    )
    return replace(
        parts,
        training=training,
        dev=dev,
        test=test,
        kind="tagging",
        tags=tuple(slots),
        notes=(*parts.notes, *([note] if left_out else [])),
    )


def single_label(parts: Parts) -> Parts:
    """Return the parts of a task whose texts have exactly one label each, and no values.

    Raises:
        TaskDataError: a text has none or several.
    """
    before = (parts.training, parts.dev, parts.test)
    for example in (example for split in before for example in split):
        if len(example.attributes) != 1:
            raise TaskDataError(
                f"{example.uid}: has {len(example.attributes)} labels "
                f"({', '.join(example.attributes)}), but task.predict is label, which needs "
                "exactly one for each text; mend the row, or set task.predict to labels."
            )
    training, dev, test = (tuple(replace(e, values={}) for e in split) for split in before)
    return replace(parts, training=training, dev=dev, test=test, kind="single_label")


def _tagged(examples: Sequence[Example]) -> tuple[Example, ...]:
    forests = [(example, tag_values(example.text, example.values)) for example in examples]
    return tuple(
        replace(example, target=write_brackets(forest))
        for example, forest in forests
        if forest is not None
    )


def _in_words(note: str) -> str:
    return f" ({note.rstrip('.')})" if note else ""


def without_texts_of(
    examples: Sequence[Example], others: Sequence[Example], noun: str, other: str
) -> tuple[tuple[Example, ...], str]:
    """Return the examples whose text is not among the others, and a note on the rest."""
    taken = {text_key(example.text) for example in others}
    kept = tuple(example for example in examples if text_key(example.text) not in taken)
    left_out = len(examples) - len(kept)
    if not left_out:
        return kept, ""
    return kept, (
        f"left out {left_out} of {len(examples)} {noun}: their text is in {other}, too "
        "(case, punctuation and space aside)."
    )


def gaps(ontology: Ontology, seeds: Sequence[Example], dev: Sequence[Example]) -> list[str]:
    """Return notes on what a student of these examples cannot learn or choose by."""
    carried = {name for example in seeds for name in names_of(example)}
    missing = [attribute.name for attribute in ontology.all if attribute.name not in carried]
    notes = []
    if missing:
        more = "" if len(missing) <= MAX_NAMED_IN_NOTE else ", ..."
        notes.append(
            f"no seed example carries {len(missing)} of {len(ontology.all)} attributes "
            f"({', '.join(missing[:MAX_NAMED_IN_NOTE])}{more}); only their words tell of them."
        )
    if not dev:
        notes.append("there is no dev example; give some, or a task.dev_fraction above 0.")
    return notes
