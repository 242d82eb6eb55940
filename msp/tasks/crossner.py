"""CrossNER (Liu et al., 2021, arXiv 2012.04373): entities of a domain, from a hundred sentences.

The folder is as published: ``DOMAIN/train.txt``, ``dev.txt`` and ``test.txt``, a
``token TAB BIO-tag`` a line and a blank line between sentences.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msp.config import TaskConfig
from msp.errors import ConfigError, TaskDataError, did_you_mean
from msp.records import Attribute, Example
from msp.tasks.base import TaskData
from msp.tasks.brackets import Span, forest_of, write_brackets
from msp.tasks.ontology import Ontology, load_ontology
from msp.tasks.reading import read_lines, shown
from msp.tasks.splits import Parts, build_task

# The entity types of the published domains, each in words: soft prompts start from these.
_SHARED = {
    "person": "a person who is none of the more special kinds",
    "organisation": "an organisation",
    "location": "a place that is no country",
    "country": "a country",
    "event": "an event",
    "award": "an award",
    "misc": "a name of none of the other kinds",
}
_TYPES = {
    "politics": {
        "politician": "a politician",
        "politicalparty": "a political party",
        "election": "an election",
    },
    "science": {
        "scientist": "a scientist",
        "university": "a university",
        "discipline": "a scientific discipline",
        "enzyme": "an enzyme",
        "protein": "a protein",
        "chemicalelement": "a chemical element",
        "chemicalcompound": "a chemical compound",
        "astronomicalobject": "an astronomical object",
        "academicjournal": "an academic journal",
        "theory": "a theory",
    },
    "music": {
        "musicalartist": "a musical artist, such as a singer",
        "band": "a band",
        "album": "an album",
        "song": "a song",
        "musicgenre": "a music genre",
        "musicalinstrument": "a musical instrument",
    },
    "literature": {
        "writer": "a writer",
        "book": "a book",
        "poem": "a poem",
        "magazine": "a magazine",
        "literarygenre": "a literary genre",
    },
    "ai": {
        "researcher": "a researcher",
        "field": "a field of research",
        "task": "a task that a system solves",
        "product": "a product",
        "algorithm": "an algorithm",
        "metrics": "a metric",
        "programlang": "a programming language",
        "conference": "a conference",
        "university": "a university",
    },
}
_NOT_IN = {"award": ("politics", "ai"), "event": ("ai",)}


def load(config: TaskConfig, *, seed: int) -> TaskData:
    """Return one domain of CrossNER; its train, dev and test files are the splits.

    A text is its tokens with single spaces between; ``target`` says exactly
    which of them are entities. ``few_shot`` draws ``task.shots`` sentences of each
    entity type; ``additional`` adds the training sentences of every other domain
    in the folder. An example's uid counts sentences from 0.

    Raises:
        ConfigError: there is no such domain.
        TaskDataError: a file is missing, or a line is not as published; names file and line.
    """
    folder = Path(config.path).expanduser()
    domain = config.domain or ""
    domains = sorted(path.parent.name for path in folder.glob("*/train.txt"))
    if domain not in domains:
        raise ConfigError(
            f"task.domain is {shown(domain)}; {config.path} has the domains "
            f"{', '.join(domains) or 'none'}{did_you_mean(domain, domains) or '.'}"
        )
    own = _ontology(config, folder, domain)
    elsewhere = [d for d in domains if d != domain] if config.setting == "additional" else []
    ontology = _union(own, [_ontology(config, folder, other) for other in elsewhere])
    splits = {
        name: list(_sentences(folder, domain, name, own)) for name in ("train", "dev", "test")
    }
    others = [
        example
        for other in elsewhere
        for example in _sentences(folder, other, "train", _ontology(config, folder, other))
    ]
    parts = Parts(
        training=splits["train"],
        dev=splits["dev"],
        test=splits["test"],
        source=f"{folder.name}/{domain}",
        dev_fraction=config.dev_fraction,
        kind="tagging",
        tags=tuple(attribute.name for attribute in own.attributes),
        others=others,
    )
    return build_task(parts, ontology, domain=domain, config=config, seed=seed)


def _ontology(config: TaskConfig, folder: Path, domain: str) -> Ontology:
    """Return the file's ontology, the published types, or for a new domain what its tags name."""
    if config.ontology is not None:
        return load_ontology(Path(config.ontology).expanduser())
    if domain in _TYPES:
        shared = {
            name: words for name, words in _SHARED.items() if domain not in _NOT_IN.get(name, ())
        }
        described = {**_TYPES[domain], **shared}
    else:
        tags = {tag for _, tag, _ in _tokens(folder / domain / "train.txt") if tag[:2] == "B-"}
        described = {tag[2:]: Attribute(tag[2:], "").words for tag in sorted(tags)}
    return Ontology(tuple(Attribute(name, words) for name, words in described.items()))


def _union(own: Ontology, others: list[Ontology]) -> Ontology:
    found = {a.name: a for ontology in (*others, own) for a in ontology.attributes}
    first = [attribute.name for attribute in own.attributes]
    return Ontology(tuple(found[name] for name in dict.fromkeys([*first, *found])))


def _sentences(folder: Path, domain: str, split: str, ontology: Ontology) -> Iterator[Example]:
    path = folder / domain / f"{split}.txt"
    rows: list[tuple[str, str, str]] = []
    number = 0
    for row in (*_tokens(path), ("", "", "")):
        if row[0]:
            rows.append(row)
        elif rows:
            yield _example(rows, ontology, f"{domain}/{split}:{number}", domain)
            rows, number = [], number + 1


def _tokens(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (token, tag, where it stands); an empty token between sentences."""
    for number, line in read_lines(path):
        where = f"{path.parent.name}/{path.name}, line {number}"
        token, tab, tag = line.partition("\t")
        if not line.strip():
            yield "", "", where
        elif not tab or not token.strip() or len(token.split()) > 1:
            raise TaskDataError(
                f"{where}: is {shown(line)}; write a token, a tab and its tag, such as O or "
                "B-person."
            )
        else:
            yield token, tag.strip(), where


def _example(
    rows: list[tuple[str, str, str]], ontology: Ontology, uid: str, domain: str
) -> Example:
    words = [token for token, _, _ in rows]
    spans: list[Span] = []
    before = "O"
    for place, (_, tag, where) in enumerate(rows):
        mark, _, label = tag.partition("-")
        if tag != "O":
            _check(tag, before, ontology, where)
        if mark == "B":
            spans.append(Span(place, place + 1, label))
        elif mark == "I":
            spans[-1] = Span(spans[-1].start, place + 1, label)
        before = tag
    return entity_example(words, spans, ontology, uid=uid, domain=domain)


def entity_example(
    words: list[str], spans: list[Span], ontology: Ontology, *, uid: str, domain: str
) -> Example:
    """Return the example of a sentence with spans that are apart, in the text's order."""
    values: dict[str, list[str]] = {}
    for span in spans:
        values.setdefault(span.label, []).append(" ".join(words[span.start : span.end]))
    labels = ontology.order(values)
    return Example(
        uid=uid,
        text=" ".join(words),
        attributes=labels,
        values={label: tuple(dict.fromkeys(values[label])) for label in labels},
        domain=domain,
        target=write_brackets(forest_of(words, spans)),
    )


def _check(tag: str, before: str, ontology: Ontology, where: str) -> None:
    mark, _, label = tag.partition("-")
    if mark not in ("B", "I") or not label:
        raise TaskDataError(f"{where}: tag {shown(tag)} is not O, B-TYPE or I-TYPE.")
    if label not in ontology.positions:
        near = did_you_mean(label, ontology.positions)
        raise TaskDataError(
            f"{where}: entity type {shown(label)} is not in the ontology, which has "
            f"{', '.join(ontology.positions)}{near or '.'}"
        )
    if mark == "I" and before not in (f"B-{label}", f"I-{label}"):
        raise TaskDataError(
            f"{where}: {tag} follows {before}, but an entity starts with B; write B-{label}."
        )
