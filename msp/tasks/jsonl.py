"""Anybody's own task: one JSON object a line, and an ontology beside it.

::

    {"text": "i want to cancel", "attributes": ["cancel"], "values": {}, "split": "seed"}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from msp.config import TaskConfig
from msp.errors import ConfigError, TaskDataError, did_you_mean
from msp.records import Example, Split
from msp.tasks.base import TaskData
from msp.tasks.labelling import Labeller, RawExample
from msp.tasks.ontology import GENERAL, MAX_NAME_CHARS, Ontology, load_ontology
from msp.tasks.reading import checked_text, read_json_lines, shown
from msp.tasks.sampling import hold_out
from msp.tasks.splits import TEST_FRACTION, Parts, build_task, single_label, tagged

_SAMPLES = Path(__file__).parent / "samples"
_KEYS = ("text", "attributes", "values", "domain", "split")
_SPLITS: dict[str, Split] = {"seed": "seed", "train": "seed", "dev": "dev", "test": "test"}


def load(config: TaskConfig, *, seed: int) -> TaskData:
    """Return the task of a JSON-lines file.

    ``config.path`` is the file, or ``sample:NAME`` for data that ships with the
    project; ``config.ontology`` stands beside it as ``ontology.json`` unless set.
    Each row has ``text`` and ``attributes``, and may have ``values``
    (slot -> strings of the text), ``domain`` and ``split`` (seed or train, dev,
    test). Where no row has a split, 20 % of the rows become test and
    ``dev_fraction`` of them (20 % by default) dev, drawn by ``seed`` and
    stratified over the attributes. With ``config.predict`` ``label`` every row has
    exactly one attribute, and its values are not read. With ``config.domain``, rows of other
    domains are left out.

    Raises:
        TaskDataError: a file is missing or breaks the format, with the line; or
            there is no seed or no test example.
        ConfigError: ``config.path`` names a sample that there is not, or
            ``config.domain`` is in neither the ontology nor the rows.
    """
    path = _data_path(config.path)
    if not path.is_file():
        raise TaskDataError(f"{config.path}: cannot be read (No such file).")
    ontology_path = Path(config.ontology or path.parent / "ontology.json").expanduser()
    ontology = load_ontology(ontology_path)
    domain, scope = _scope(config, ontology)
    rows = _Rows(path, ontology, ontology_path.name, config.domain)
    splits: dict[Split | None, list[Example]] = {"seed": [], "dev": [], "test": [], None: []}
    for split, example in rows:
        splits[split].append(example)
    if rows.num_elsewhere and not any(splits.values()):
        raise ConfigError(
            f"task.domain is {shown(config.domain)}, but none of the {rows.num_elsewhere} rows of "
            f"{path.name} is of that domain; name one that they have, or none."
        )
    dev_fraction = config.dev_fraction
    if splits[None]:
        training, test = hold_out(splits[None], TEST_FRACTION, seed=seed, purpose="test")
        dev_fraction = dev_fraction / (1 - TEST_FRACTION)
    else:
        training, test = tuple(splits["seed"]), tuple(splits["test"])
    parts = Parts(training, splits["dev"], test, path.name, dev_fraction, rows.notes())
    if config.predict == "slots":
        parts = tagged(parts, [slot.name for slot in scope.slots])
    if config.predict == "label":
        parts, scope = single_label(parts), replace(scope, slots=())
    return build_task(parts, scope, domain=domain, config=config, seed=seed)


def _data_path(path: str) -> Path:
    if not path.startswith("sample:"):
        return Path(path).expanduser()
    name = path.removeprefix("sample:")
    names = sorted(folder.name for folder in _SAMPLES.iterdir() if folder.is_dir())
    if name not in names:
        near = did_you_mean(name, names)
        raise ConfigError(
            f"task.path is {shown(path)}, but the samples are {', '.join(names)}{near or '.'}"
        )
    return _SAMPLES / name / "examples.jsonl"


class _Rows:
    """The rows of one file, each checked; holds what can only be said of all of them.

    Args:
        path: the data file.
        ontology: of all domains.
        ontology_file: its file name, for messages.
        domain: the domain that is wanted; none for all.
    """

    def __init__(
        self, path: Path, ontology: Ontology, ontology_file: str, domain: str | None
    ) -> None:
        self._path = path
        self._ontology = ontology
        self._ontology_file = ontology_file
        self._domain = domain
        self._labellers: dict[str | None, Labeller] = {}
        self._first: tuple[int, bool] | None = None
        self.num_rows = 0
        self.num_elsewhere = 0

    def __iter__(self) -> Iterator[tuple[Split | None, Example]]:
        for number, row in read_json_lines(self._path):
            where = f"{self._path.name}, line {number}"
            _check_keys(row, where)
            split = self._split(row.get("split"), number, where)
            named = row.get("domain")
            labeller = self._labeller(named, where)
            domain = named or self._domain or _only(self._ontology.domains) or GENERAL
            raw = RawExample(row["text"], row["attributes"], row.get("values") or {}, domain)
            example = labeller.example(raw, uid=f"{self._path.name}:{number}", where=where)
            self.num_rows += 1
            if self._domain in (None, domain):
                yield split, example
            else:
                self.num_elsewhere += 1

    def notes(self) -> tuple[str, ...]:
        """Return what a user should know of the rows."""
        if not self.num_elsewhere:
            return ()
        return (
            f"left out {self.num_elsewhere} of {self.num_rows} rows: they are of domains other "
            f"than {self._domain}.",
        )

    def _split(self, found: Any, number: int, where: str) -> Split | None:
        if found is not None and found not in list(_SPLITS):
            near = did_you_mean(found, _SPLITS) if isinstance(found, str) else ""
            raise TaskDataError(
                f"{where}: split is {shown(found)}; write seed (or train), dev or test{near or '.'}"
            )
        first, first_has_split = self._first = self._first or (number, found is not None)
        if first_has_split != (found is not None):
            here, there = ("no", "one") if first_has_split else ("a", "none")
            raise TaskDataError(
                f"{where}: has {here} split, but line {first} has {there}; "
                "give one to every row or to none."
            )
        return None if found is None else _SPLITS[found]

    def _labeller(self, domain: Any, where: str) -> Labeller:
        """Return the labeller of a row's domain, or of everything where the row names none."""
        if domain is not None:
            checked_text(domain, f"{where}: domain", max_chars=MAX_NAME_CHARS)
        wanted = domain or self._domain
        if wanted not in self._labellers:
            try:
                ontology = self._ontology.for_domain(wanted) if wanted else self._ontology
            except TaskDataError as error:
                raise TaskDataError(f"{where}: {error}") from error
            self._labellers[wanted] = Labeller(ontology, self._ontology_file)
        return self._labellers[wanted]


def _check_keys(row: Any, where: str) -> None:
    if not isinstance(row, dict):
        raise TaskDataError(
            f'{where}: holds {shown(row)}; write an object: {{"text": ..., "attributes": [...]}}.'
        )
    for key in row:
        if key not in _KEYS:
            near = did_you_mean(key, _KEYS)
            raise TaskDataError(
                f"{where}: key {shown(key)} is not known; a row has {', '.join(_KEYS)}{near or '.'}"
            )
    for key in ("text", "attributes"):
        if key not in row:
            raise TaskDataError(f"{where}: has no {key!r}; every row needs text and attributes.")


def _scope(config: TaskConfig, ontology: Ontology) -> tuple[str, Ontology]:
    """Return the task's domain and what the ontology knows of it."""
    if config.domain is None:
        return _only(ontology.domains) or GENERAL, ontology
    try:
        return config.domain, ontology.for_domain(config.domain)
    except TaskDataError as error:
        raise ConfigError(f"task.domain is {shown(config.domain)}: {error}") from error


def _only(domains: Mapping[str, str]) -> str | None:
    return next(iter(domains)) if len(domains) == 1 else None
