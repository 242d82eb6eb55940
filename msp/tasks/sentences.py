"""TREC-6 and SUBJ: one class for each sentence, as harvardnlp/sent-conv-torch publishes them.

A line is the class's number, a space and the sentence's tokens. TREC (Li and
Roth, 2002) has the files ``TREC.train.all`` and ``TREC.test.all``; SUBJ (Pang and
Lee, 2004) has ``subj.all`` and no split. The descriptions are this project's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msp.config import TaskConfig
from msp.errors import TaskDataError
from msp.records import Attribute, Example
from msp.tasks.base import TaskData
from msp.tasks.ontology import Ontology, load_ontology
from msp.tasks.reading import checked_text, read_lines, shown
from msp.tasks.sampling import hold_out
from msp.tasks.splits import TEST_FRACTION, Parts, build_task

# Dashes, quotes and accents of the published files are in it.
_ENCODING = "cp1252"
TREC_DOMAIN, SUBJ_DOMAIN = "questions", "films"

# In the order of the numbers in the files.
TREC = (
    Attribute("description", "asks what something means, why it is so, or how it comes about"),
    Attribute("entity", "asks for a thing: an animal, a work, a product, a colour, a word"),
    Attribute("abbreviation", "asks what letters stand for, or for the short form of words"),
    Attribute("person", "asks for a person or a group of people, or who somebody is"),
    Attribute("location", "asks for a place: a city, a country, a mountain, where something is"),
    Attribute("number", "asks for a number: a date, an amount, a distance, how many or how long"),
)
SUBJ = (
    Attribute("subjective", "says what its writer thinks or feels about a film"),
    Attribute("objective", "tells what happens in a film, or a fact about it"),
)


def load_trec(config: TaskConfig, *, seed: int) -> TaskData:
    """Return TREC-6; dev is drawn from the training file, as none is published.

    Raises:
        TaskDataError: a file is missing, or a line is not as published; names file and line.
    """
    folder, ontology = _folder(config), _ontology(config, TREC)
    training, test = (
        _read(folder / f"TREC.{name}.all", ontology, TREC_DOMAIN) for name in ("train", "test")
    )
    parts = Parts(training, (), test, folder.name, config.dev_fraction, kind="single_label")
    return build_task(parts, ontology, domain=TREC_DOMAIN, config=config, seed=seed)


def load_subj(config: TaskConfig, *, seed: int) -> TaskData:
    """Return SUBJ; 20 % of its sentences are test, drawn by ``seed``, and dev is of the others.

    Raises:
        TaskDataError: as :func:`load_trec`.
    """
    folder, ontology = _folder(config), _ontology(config, SUBJ)
    everything = _read(folder / "subj.all", ontology, SUBJ_DOMAIN)
    training, test = hold_out(everything, TEST_FRACTION, seed=seed, purpose="test")
    dev_fraction = config.dev_fraction / (1 - TEST_FRACTION)
    parts = Parts(training, (), test, folder.name, dev_fraction, kind="single_label")
    return build_task(parts, ontology, domain=SUBJ_DOMAIN, config=config, seed=seed)


def _folder(config: TaskConfig) -> Path:
    return Path(config.path).expanduser()


def _ontology(config: TaskConfig, classes: Sequence[Attribute]) -> Ontology:
    """Return the classes, or those of ``task.ontology``, in the order of their numbers."""
    if config.ontology is None:
        return Ontology(tuple(classes))
    ontology = load_ontology(config.ontology)
    if len(ontology.attributes) != len(classes):
        raise TaskDataError(
            f"{config.ontology}: names {len(ontology.attributes)} classes, but {config.name} has "
            f"{len(classes)}: {', '.join(a.name for a in classes)}; name as many, in this order."
        )
    return ontology


def _read(path: Path, ontology: Ontology, domain: str) -> list[Example]:
    classes = ontology.attributes
    found = []
    for number, line in read_lines(path, _ENCODING):
        if not line.strip():
            continue
        where = f"{path.name}, line {number}"
        label, _, text = line.partition(" ")
        if label not in map(str, range(len(classes))):
            raise TaskDataError(
                f"{where}: begins with {shown(label)}; a line is a class's number, 0 to "
                f"{len(classes) - 1}, a space and the sentence."
            )
        text = checked_text(text, f"{where}: the sentence").strip()
        uid = f"{path.name}:{number}"
        found.append(Example(uid, text, (classes[int(label)].name,), {}, domain))
    return found
