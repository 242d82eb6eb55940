"""The attributes of a task, in the file's order, which everything that counts attributes follows.

Labels and slots share one namespace, because one soft prompt belongs to each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from msp.errors import TaskDataError, did_you_mean
from msp.records import Attribute
from msp.tasks.reading import check_keys, checked_text, read_json, shown

GENERAL = "general"
MAX_NAME_CHARS = 200
_SECTIONS = ("attributes", "intents", "slots", "domains")
_ENTRY_KEYS = ("name", "description", "domain")


@dataclass(frozen=True)
class Ontology:
    """Labels, slots and domains; a slot that is named like a label is called ``slot:NAME``.

    Args:
        attributes: the labels, in the file's order.
        slots: the slots, in the file's order.
        domains: domain -> its description; empty where the ontology names none.
        membership: attribute or slot -> the domains that know it; one that is
            not listed, or that lists ``general``, belongs to every domain.

    Raises:
        TaskDataError: a name is there twice.
    """

    attributes: tuple[Attribute, ...]
    slots: tuple[Attribute, ...] = ()
    domains: Mapping[str, str] = field(default_factory=dict)
    membership: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        labels = {attribute.name for attribute in self.attributes}
        slots = tuple(
            replace(slot, name=_slot_name(slot.name, labels), is_slot=True) for slot in self.slots
        )
        object.__setattr__(self, "slots", slots)
        seen: set[str] = set()
        for attribute in self.all:
            if attribute.name in seen:
                raise TaskDataError(
                    f"the ontology names {shown(attribute.name)} twice; give each attribute and "
                    "each slot a name of its own."
                )
            seen.add(attribute.name)

    @property
    def all(self) -> tuple[Attribute, ...]:
        """Labels, then slots: the order that indexes the attribute prompts."""
        return (*self.attributes, *self.slots)

    @cached_property
    def positions(self) -> dict[str, int]:
        """Name -> position in :attr:`all`."""
        return {attribute.name: index for index, attribute in enumerate(self.all)}

    def index(self, name: str) -> int:
        """Return the position of a label or slot in :attr:`all`.

        Raises:
            TaskDataError: the ontology does not know the name.
        """
        if name not in self.positions:
            near = did_you_mean(name, self.positions)
            raise TaskDataError(f"attribute {shown(name)} is not in the ontology{near or '.'}")
        return self.positions[name]

    def order(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the names once each, in the ontology's order; raises like :meth:`index`."""
        return tuple(sorted(set(names), key=self.index))

    def slot_name(self, name: str) -> str:
        """Return what a slot of the data is called here: itself, or ``slot:NAME``."""
        return _slot_name(name, {attribute.name for attribute in self.attributes})

    def for_domain(self, domain: str) -> Ontology:
        """Return the ontology of one domain: what it knows itself and what is general.

        ``general`` gives what is general alone. An ontology that names no
        domains is the same in every domain.

        Raises:
            TaskDataError: the ontology names domains, but not this one.
        """
        if not self.domains:
            return self
        if domain not in (*self.domains, GENERAL):
            near = did_you_mean(domain, self.domains)
            raise TaskDataError(
                f"domain {shown(domain)} is not in the ontology, which has "
                f"{', '.join(sorted(self.domains))}{near or '.'}"
            )
        inside = {
            attribute.name
            for attribute in self.all
            if {domain, GENERAL} & set(self.membership.get(attribute.name, (GENERAL,)))
        }
        return Ontology(
            attributes=tuple(a for a in self.attributes if a.name in inside),
            slots=tuple(s for s in self.slots if s.name in inside),
            domains={name: words for name, words in self.domains.items() if name == domain},
            membership={n: known for n, known in self.membership.items() if n in inside},
        )


def _slot_name(name: str, labels: set[str]) -> str:
    return f"slot:{name}" if name in labels else name


def load_ontology(path: str | Path) -> Ontology:
    """Return the ontology of a JSON file.

    Three forms are read: ``{"attributes": {name: {"description": ...}}, "slots": {...},
    "domains": {...}}``, where slots and domains may be left out, ``intents`` may stand for
    ``attributes`` and an entry may hold ``"domain": [...]``; ``{name: description, ...}``; and a
    list of names or of ``{"name": ..., "description": ...}``. A missing description is the name
    in words.

    Raises:
        TaskDataError: no such file, not JSON, a name doubled, empty or longer
            than 200 characters, an unknown key, no attribute at all.
    """
    path = Path(path)
    tree = read_json(path)
    sections = tree if isinstance(tree, dict) and _has_sections(tree) else {"attributes": tree}
    check_keys(sections, _SECTIONS, path.name)
    labels = [name for name in ("attributes", "intents") if name in sections]
    if len(labels) > 1:
        raise TaskDataError(f"{path.name}: has both attributes and intents; write attributes.")
    attributes = _entries(sections[labels[0]], path.name, labels[0]) if labels else []
    if not attributes:
        raise TaskDataError(f"{path.name}: names no attribute; a task needs one label or more.")
    slots = _entries(sections.get("slots") or {}, path.name, "slots")
    return _build(path.name, attributes, slots, sections.get("domains") or {})


_Entry = tuple[Attribute, tuple[str, ...]]


def _has_sections(tree: dict[str, Any]) -> bool:
    """Tell the form with sections from ``{name: description}``: a section is never a string."""
    return any(name in tree and not isinstance(tree[name], str) for name in _SECTIONS)


def _build(file: str, labels: list[_Entry], slots: list[_Entry], domains: Any) -> Ontology:
    label_names = {attribute.name for attribute, _ in labels}
    membership = {attribute.name: known for attribute, known in labels if known}
    membership |= {_slot_name(slot.name, label_names): known for slot, known in slots if known}
    named = {domain: domain for known in membership.values() for domain in known}
    named.pop(GENERAL, None)
    if domains:
        described = {a.name: a.description for a, _ in _entries(domains, file, "domains")}
        for domain in named:
            if domain not in described:
                near = did_you_mean(domain, described)
                raise TaskDataError(
                    f"{file}: domain {shown(domain)} is not in domains{near or '.'}"
                )
        named = described
    try:
        return Ontology(tuple(a for a, _ in labels), tuple(s for s, _ in slots), named, membership)
    except TaskDataError as error:
        raise TaskDataError(f"{file}: {error}") from error


def _entries(section: Any, file: str, title: str) -> list[_Entry]:
    """Read one section, in any of its forms, to attributes and the domains that know them."""
    if isinstance(section, list):
        pairs = [_named(item, f"{file}, {title}, entry {i}") for i, item in enumerate(section)]
    elif isinstance(section, dict):
        pairs = list(section.items())
    else:
        raise TaskDataError(f"{file}: {title} is {shown(section)}; write {{name: description}}.")
    return [_entry(name, entry, f"{file}, {title}") for name, entry in pairs]


def _named(item: Any, where: str) -> tuple[Any, Any]:
    if isinstance(item, str):
        return item, None
    if isinstance(item, dict) and "name" in item:
        return item["name"], {key: value for key, value in item.items() if key != "name"}
    raise TaskDataError(f'{where}: is {shown(item)}; write {{"name": ..., "description": ...}}.')


def _entry(name: Any, entry: Any, where: str) -> _Entry:
    name = checked_text(name, f"{where}: a name", max_chars=MAX_NAME_CHARS)
    if name != name.strip() or not name.isprintable():
        raise TaskDataError(f"{where}: name {shown(name)} has spaces around it or control marks.")
    where = f"{where}, {shown(name)}"
    fields = entry if isinstance(entry, dict) else {"description": entry}
    check_keys(fields, _ENTRY_KEYS[1:], where)
    attribute = Attribute(name, "")
    description = fields.get("description")
    if description is None or (isinstance(description, str) and not description.strip()):
        description = attribute.words
    description = checked_text(description, f"{where}: description")
    return replace(attribute, description=description), _domain_list(fields.get("domain"), where)


def _domain_list(found: Any, where: str) -> tuple[str, ...]:
    known = [found] if isinstance(found, str) else found or []
    if not isinstance(known, list):
        raise TaskDataError(f"{where}: domain is {shown(found)}; write a list of domain names.")
    return tuple(checked_text(domain, f"{where}: a domain") for domain in known)
