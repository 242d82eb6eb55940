"""BANKING77 (Casanueva et al., 2020, arXiv 2003.04807): one intent of 77 for each question.

The folder is as published: ``train.csv`` and ``test.csv`` with the columns text and
category, and ``categories.json``, a list of the intents.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from msp.config import TaskConfig
from msp.errors import TaskDataError, did_you_mean
from msp.records import Example
from msp.tasks.base import TaskData
from msp.tasks.ontology import Ontology, load_ontology
from msp.tasks.reading import checked_text, read_lines, shown
from msp.tasks.splits import Parts, build_task

DOMAIN = "banking"
_HEADER = ["text", "category"]


def load(config: TaskConfig, *, seed: int) -> TaskData:
    """Return BANKING77; dev is drawn from the training file, as none is published.

    ``few_shot`` draws ``task.shots`` questions of each intent. An example's uid
    and a message count lines from 1.

    Raises:
        TaskDataError: a file is missing, or a row is not as published; names file and line.
    """
    folder = Path(config.path).expanduser()
    ontology_path = Path(config.ontology or folder / "categories.json").expanduser()
    ontology = load_ontology(ontology_path)
    training, test = (
        list(_rows(folder / f"{name}.csv", ontology, ontology_path.name))
        for name in ("train", "test")
    )
    parts = Parts(training, (), test, folder.name, config.dev_fraction, kind="single_label")
    return build_task(parts, ontology, domain=DOMAIN, config=config, seed=seed)


def _rows(path: Path, ontology: Ontology, ontology_file: str) -> Iterator[Example]:
    # Fields may hold line ends; the reader says on which line a row ends.
    rows = csv.reader((f"{line}\n" for _, line in read_lines(path)), strict=True)
    try:
        for row in rows:
            where = f"{path.name}, line {rows.line_num}"
            if rows.line_num == 1 and row == _HEADER:
                continue
            if len(row) != len(_HEADER):
                raise TaskDataError(
                    f"{where}: has {len(row)} fields; write two: text,category (a text with "
                    "commas in double quotes)."
                )
            text, category = checked_text(row[0], f"{where}: text"), row[1].strip()
            if category not in ontology.positions:
                near = did_you_mean(category, ontology.positions)
                raise TaskDataError(
                    f"{where}: category {shown(category)} is not in {ontology_file}{near or '.'}"
                )
            yield Example(f"{path.name}:{rows.line_num}", text.strip(), (category,), {}, DOMAIN)
    except csv.Error as error:
        raise TaskDataError(f"{path.name}, line {rows.line_num}: is not CSV ({error}).") from error
