"""TOPv2 (Chen et al., 2020, arXiv 2010.03546): nested intents and slots, kept as trees.

The folder is as published: ``DOMAIN_train.tsv``, ``DOMAIN_eval.tsv`` and
``DOMAIN_test.tsv``, and below ``low_resource_splits`` the few-shot splits, named by their
samples per intent and slot (SPIS).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from msp.config import TaskConfig
from msp.errors import ConfigError, TaskDataError, did_you_mean
from msp.records import Attribute, Example
from msp.tasks.base import TaskData
from msp.tasks.brackets import Forest, Node, labels_in, read_brackets, words_in, write_brackets
from msp.tasks.ontology import Ontology, load_ontology
from msp.tasks.reading import checked_text, read_lines, shown
from msp.tasks.splits import Parts, build_task

INTENT, SLOT = "IN:", "SL:"
_LOW = "low_resource_splits"
_PARSE_COLUMNS = ("semantic_parse", "seqlogical")
# Source domains are large; MSP keeps a part of them, too.
MAX_SOURCE_EXAMPLES = 2000

_Row = tuple[str, Forest]


def load(config: TaskConfig, *, seed: int) -> TaskData:
    """Return one domain of TOPv2, every label of a tree an attribute.

    ``full`` trains on the domain's file and chooses on its eval file; ``few_shot`` takes
    the published splits of ``task.shots`` SPIS for both; ``additional`` adds up to 2,000
    training examples of the other domains. A text is the parse's words with
    single spaces between; values are the strings of the outermost slots. An
    example's uid and a message count lines from 1.

    Raises:
        ConfigError: there is no such domain or split; names those that there are.
        TaskDataError: a line is not as published; names file and line.
    """
    folder = Path(config.path).expanduser()
    domain = config.domain or ""
    domains = sorted(p.name.removesuffix("_test.tsv") for p in folder.glob("*_test.tsv"))
    if domain not in domains:
        raise ConfigError(
            f"task.domain is {shown(domain)}; {config.path} has the domains "
            f"{', '.join(domains) or 'none'}{did_you_mean(domain, domains) or '.'}"
        )
    training, dev = _split_paths(config, folder, domain)
    paths = {"train": training, "dev": dev, "test": folder / f"{domain}_test.tsv"}
    splits = {name: list(_rows(path)) for name, path in paths.items()}
    elsewhere = [d for d in domains if d != domain] if config.setting == "additional" else []
    others = [(other, row) for other in elsewhere for row in _some(folder / f"{other}_train.tsv")]
    rows = [row for split in splits.values() for row in split] + [row for _, row in others]
    ontology, file = _ontology(config, rows)
    examples = {
        name: [_example(row, ontology, domain, file) for row in split]
        for name, split in splits.items()
    }
    parts = Parts(
        training=examples["train"],
        dev=examples["dev"],
        test=examples["test"],
        source=f"{folder.name}/{domain}",
        dev_fraction=config.dev_fraction,
        kind="parse",
        others=[_example(row, ontology, other, file) for other, row in others],
        has_shots=True,
    )
    return build_task(parts, ontology, domain=domain, config=config, seed=seed)


def _split_paths(config: TaskConfig, folder: Path, domain: str) -> tuple[Path, Path]:
    if config.shots is None:
        return folder / f"{domain}_train.tsv", folder / f"{domain}_eval.tsv"
    low = folder / _LOW
    found = [path.name for path in low.glob(f"{domain}_train_*spis.tsv")]
    prefix, suffix = f"{domain}_train_", "spis.tsv"
    sizes = sorted(int(name.removeprefix(prefix).removesuffix(suffix)) for name in found)
    if config.shots not in sizes:
        there = ", ".join(map(str, sizes)) or "none"
        raise ConfigError(
            f"task.shots is {config.shots}, but {config.path}/{_LOW} has for {domain} the splits "
            f"of these SPIS: {there}."
        )
    name = f"{config.shots}{suffix}"
    return low / f"{prefix}{name}", low / f"{domain}_valid_{name}"


def _rows(path: Path) -> Iterator[_Row]:
    """Yield (where it stands, its parse) for each line after the header."""
    column = -1
    for number, line in read_lines(path):
        where = f"{path.name}, line {number}"
        fields = line.split("\t")
        if number == 1:
            column = _parse_column(fields, where)
            continue
        if not line.strip():
            continue
        if len(fields) <= column:
            raise TaskDataError(
                f"{where}: has {len(fields)} fields; write domain, utterance and parse with tabs "
                "between."
            )
        try:
            forest = read_brackets(checked_text(fields[column], f"{where}: the parse"))
            _check_tree(forest)
        except TaskDataError as error:
            raise TaskDataError(f"{where}: {error}") from error
        yield where, forest


def _parse_column(header: Sequence[str], where: str) -> int:
    for name in _PARSE_COLUMNS:
        if name in header:
            return header.index(name)
    raise TaskDataError(
        f"{where}: the header is {shown(list(header))}; it names the parse's column "
        f"{' or '.join(_PARSE_COLUMNS)}."
    )


def _check_tree(forest: Forest) -> None:
    if len(forest) != 1 or not isinstance(forest[0], Node) or forest[0].label[:3] != INTENT:
        raise TaskDataError(
            f"the parse has {len(forest)} parts at the top; it is one '[IN:NAME ... ]' around "
            "everything."
        )
    if not words_in(forest):
        raise TaskDataError("the parse has no words.")
    for label in labels_in(forest):
        if label[:3] not in (INTENT, SLOT):
            raise TaskDataError(
                f"label {shown(label)} is no intent (IN:NAME) and no slot (SL:NAME)."
            )


def _some(path: Path) -> list[_Row]:
    """Return rows spread evenly over a file, at most :data:`MAX_SOURCE_EXAMPLES`."""
    rows = list(_rows(path))
    step = max(1, -(-len(rows) // MAX_SOURCE_EXAMPLES))
    return rows[::step]


def _ontology(config: TaskConfig, rows: Sequence[_Row]) -> tuple[Ontology, str]:
    """Return the labels, intents first: the ontology file's, or those of what was read."""
    if config.ontology is not None:
        path = Path(config.ontology).expanduser()
        return load_ontology(path), path.name
    names = {label for _, forest in rows for label in labels_in(forest)}
    labels = tuple(Attribute(name, "") for name in sorted(names))
    return Ontology(tuple(Attribute(a.name, a.words) for a in labels)), "the files"


def _example(row: _Row, ontology: Ontology, domain: str, ontology_file: str) -> Example:
    where, forest = row
    values: dict[str, list[str]] = {}
    (root,) = forest
    assert isinstance(root, Node)
    for part in root.children:
        if isinstance(part, Node) and (words := words_in(part.children)):
            values.setdefault(part.label, []).append(" ".join(words))
    labels = labels_in(forest)
    for label in labels:
        if label not in ontology.positions:
            near = did_you_mean(label, ontology.positions)
            raise TaskDataError(
                f"{where}: label {shown(label)} is not in {ontology_file}{near or '.'}"
            )
    return Example(
        uid=where.replace(", line ", ":"),
        text=" ".join(words_in(forest)),
        attributes=ontology.order(labels),
        values={label: tuple(values[label]) for label in ontology.order(values)},
        domain=domain,
        target=write_brackets(forest),
    )
