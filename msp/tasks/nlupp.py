"""NLU++ (Casanueva et al., 2022, arXiv 2204.13021): several intents and slots in one utterance.

The folder is as published: ``ontology.json`` and ``DOMAIN/fold0.json`` to
``fold19.json``, each a list of ``{text, intents?, slots?: {name: {text, ...}}}``.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from msp.config import TaskConfig
from msp.errors import ConfigError, TaskDataError, did_you_mean
from msp.records import Example
from msp.tasks.base import TaskData
from msp.tasks.brackets import forest_of, read_brackets, spans_in, words_in, write_brackets
from msp.tasks.labelling import Labeller, RawExample
from msp.tasks.ontology import GENERAL, Ontology, load_ontology
from msp.tasks.placing import tag_characters
from msp.tasks.reading import read_json, shown
from msp.tasks.splits import Parts, build_task

DOMAINS = ("banking", "hotels")
NUM_FOLDS = 20
# The set has no official split beside its folds; 16 of 20 leave the usual fifth for test.
NUM_FULL_TRAINING_FOLDS = 16
TRAINING_FOLDS_OF = {"fold20": 1, "fold10": 2}
_KEYS = ("text", "intents", "slots")


def load(config: TaskConfig, *, seed: int) -> TaskData:
    """Return one setting of NLU++; dev is drawn from the training part, never from test.

    ``fold20`` trains on fold k and tests on the other 19, ``fold10`` trains on
    folds 2k and 2k + 1 and tests on the other 18 (the protocols of its authors);
    ``cross`` trains on all of the other domain, tests on all of this one and
    keeps the general intents and slots alone (MSP's cross-domain setting);
    ``full`` trains on folds 0 to 15 and tests on 16 to 19. An example's uid and
    the number in a message count from 0 within its fold.

    Raises:
        ConfigError: the domain, or the fold for the setting, does not exist.
        TaskDataError: the folder is not as published; names file and example.
    """
    domain = config.domain or ""
    if domain not in DOMAINS:
        raise ConfigError(
            f"task.domain is {shown(config.domain)}; nlupp has the domains "
            f"{' and '.join(DOMAINS)}{did_you_mean(domain, DOMAINS) or '.'}"
        )
    folder = _folder(config)
    ontology_path = Path(config.ontology or folder / "ontology.json").expanduser()
    ontology = load_ontology(ontology_path)
    folds = _training_folds(config)
    rest = [fold for fold in range(NUM_FOLDS) if fold not in folds]
    training_domain = domain
    if config.setting == "cross":
        training_domain = next(other for other in DOMAINS if other != domain)
        rest = folds = list(range(NUM_FOLDS))
    scope = ontology.for_domain(GENERAL if config.setting == "cross" else domain)
    predicts_slots = config.predict == "slots"
    read = _Folds(folder, ontology, ontology_path.name, tags_slots=predicts_slots)
    training = _within(read.examples(training_domain, folds), scope)
    test = _within(read.examples(domain, rest), scope)
    parts = Parts(
        training,
        (),
        test,
        f"{folder.name}/{domain}",
        config.dev_fraction,
        kind="tagging" if predicts_slots else "multilabel",
        tags=tuple(slot.name for slot in scope.slots) if predicts_slots else (),
    )
    return build_task(parts, scope, domain=domain, config=config, seed=seed)


def _folder(config: TaskConfig) -> Path:
    folder = Path(config.path).expanduser()
    for needed in ("ontology.json", *DOMAINS):
        if not (folder / needed).exists() and not (needed == "ontology.json" and config.ontology):
            raise TaskDataError(
                f"{config.path}: has no {needed}; give task.path the folder of NLU++ that holds "
                f"ontology.json, {' and '.join(DOMAINS)}."
            )
    return folder


def _training_folds(config: TaskConfig) -> list[int]:
    num = TRAINING_FOLDS_OF.get(config.setting)
    num_choices = NUM_FOLDS // num if num else 1
    if config.fold >= num_choices:
        allowed = f"folds 0 to {num_choices - 1}" if num else "no folds: leave task.fold at 0"
        raise ConfigError(f"task.fold is {config.fold}, but {config.setting} has {allowed}.")
    if num is None:
        return list(range(NUM_FULL_TRAINING_FOLDS))
    return list(range(config.fold * num, (config.fold + 1) * num))


def _within(examples: Iterable[Example], scope: Ontology) -> tuple[Example, ...]:
    """Return the examples with what ``scope`` knows of their labels and values."""
    known = scope.positions
    return tuple(
        replace(
            example,
            attributes=tuple(name for name in example.attributes if name in known),
            values={slot: texts for slot, texts in example.values.items() if slot in known},
            target=example.target and _without_tags(example.target, known),
        )
        for example in examples
    )


def _without_tags(target: str, known: Container[str]) -> str:
    forest = read_brackets(target)
    spans = [span for span in spans_in(forest) if span.label in known]
    return write_brackets(forest_of(words_in(forest), spans))


class _Folds:
    """Reads folds of the published folder, each example checked against its domain's ontology.

    Args:
        folder: as published.
        ontology: of both domains.
        ontology_file: its file name, for messages.
        tags_slots: whether examples say at which words their slots stand.
    """

    def __init__(
        self, folder: Path, ontology: Ontology, ontology_file: str, *, tags_slots: bool
    ) -> None:
        self._tags_slots = tags_slots
        self._folder = folder
        self._ontology = ontology
        self._ontology_file = ontology_file

    def examples(self, domain: str, folds: Iterable[int]) -> list[Example]:
        """Return the examples of the folds, in the files' order."""
        labeller = Labeller(self._ontology.for_domain(domain), self._ontology_file, "intent")
        found: list[Example] = []
        for fold in folds:
            file = f"fold{fold}.json"
            rows = read_json(self._folder / domain / file)
            if not isinstance(rows, list):
                raise TaskDataError(
                    f"{domain}/{file}: holds {shown(rows)}, not a list of examples."
                )
            for index, row in enumerate(rows):
                where = f"{domain}/{file}, example {index}"
                raw = _raw(row, domain, where)
                uid = f"{domain}/fold{fold}:{index}"
                example = labeller.example(raw, uid=uid, where=where)
                if self._tags_slots:
                    example = replace(example, target=_target(example.text, row, labeller, where))
                found.append(example)
        return found


def _target(text: str, row: dict[str, Any], labeller: Labeller, where: str) -> str:
    """Return the text with its slots in brackets, at the characters that the data names."""
    spans = []
    for name, slot in row.get("slots", {}).items():
        span = slot.get("span")
        if not (
            isinstance(span, list)
            and len(span) == 2
            and all(isinstance(place, int) for place in span)
            and 0 <= span[0] < span[1] <= len(text)
        ):
            raise TaskDataError(
                f"{where}: span of slot {shown(name)} is {shown(span)}; write [first character, "
                f"one past the last] of a text of {len(text)} characters."
            )
        spans.append((*span, labeller.ontology.slot_name(name)))
    return write_brackets(tag_characters(text, spans))


def _raw(row: Any, domain: str, where: str) -> RawExample:
    if not isinstance(row, dict) or "text" not in row:
        raise TaskDataError(f"{where}: holds {shown(row)}, not an object with a text.")
    for key in row:
        if key not in _KEYS:
            near = did_you_mean(key, _KEYS)
            raise TaskDataError(
                f"{where}: key {shown(key)} is not known; an example has "
                f"{', '.join(_KEYS)}{near or '.'}"
            )
    slots = row.get("slots", {})
    if not isinstance(slots, dict):
        raise TaskDataError(f"{where}: slots are {shown(slots)}, not an object.")
    for name, slot in slots.items():
        if not isinstance(slot, dict) or "text" not in slot:
            raise TaskDataError(
                f"{where}: slot {shown(name)} is {shown(slot)}, not an object with a text."
            )
    values = {name: [slot["text"]] for name, slot in slots.items()}
    return RawExample(row["text"], row.get("intents", []), values, domain)
