"""The one place where a row of somebody's file becomes an Example, checked against the ontology."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msp.errors import TaskDataError, did_you_mean
from msp.records import Example
from msp.tasks.ontology import Ontology
from msp.tasks.reading import checked_text, shown


@dataclass(frozen=True)
class RawExample:
    """What a row claims, before any of it is believed.

    Args:
        text: the utterance.
        attributes: the label names.
        values: slot name -> strings, as the data names slots.
        domain: the domain that the row belongs to, already known to be one.
    """

    text: Any
    attributes: Any
    values: Any
    domain: str


@dataclass(frozen=True)
class Labeller:
    """Checks rows against one ontology.

    Args:
        ontology: what the rows' domain knows.
        file: the ontology's file name, for messages.
        noun: what the data calls a label: attribute or intent.
    """

    ontology: Ontology
    file: str
    noun: str = "attribute"

    def example(self, raw: RawExample, *, uid: str, where: str) -> Example:
        """Return the example, its labels and slots in the ontology's order.

        Raises:
            TaskDataError: the text is no text or longer than 20,000 characters;
                a name is not in the ontology; a value does not occur in the text
                (case aside). The message opens with ``where``.
        """
        text = checked_text(raw.text, f"{where}: text")
        return Example(
            uid=uid,
            text=text,
            attributes=self._attributes(raw.attributes, where),
            values=self._values(raw.values, text, where),
            domain=raw.domain,
        )

    def _attributes(self, found: Any, where: str) -> tuple[str, ...]:
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise TaskDataError(
                f"{where}: {self.noun}s are {shown(found)}; write a list of names, "
                "[] where none applies."
            )
        labels = [attribute.name for attribute in self.ontology.attributes]
        for name in found:
            if name not in labels:
                is_slot = self.ontology.slot_name(name) in self.ontology.positions
                hint = "; it is a slot: give its strings as values" if is_slot else ""
                raise self._unknown(self.noun, name, where, hint or did_you_mean(name, labels))
        return self.ontology.order(found)

    def _values(self, found: Any, text: str, where: str) -> Mapping[str, tuple[str, ...]]:
        if not isinstance(found, dict):
            raise TaskDataError(
                f'{where}: values are {shown(found)}; write {{"slot": ["a string of the text"]}}.'
            )
        slots = [slot.name for slot in self.ontology.slots]
        values: dict[str, tuple[str, ...]] = {}
        for name, strings in found.items():
            slot = self.ontology.slot_name(name)
            if slot not in slots:
                is_label = name in self.ontology.positions
                hint = f"; it is a label: name it in {self.noun}s" if is_label else ""
                raise self._unknown("slot", name, where, hint or did_you_mean(name, slots))
            if strings := _strings_in(text, name, strings, where):
                values[slot] = strings
        return {slot: values[slot] for slot in self.ontology.order(values)}

    def _unknown(self, noun: str, name: str, where: str, hint: str) -> TaskDataError:
        domains = list(self.ontology.domains)
        scope = f" for domain {shown(domains[0])}" if len(domains) == 1 else ""
        return TaskDataError(
            f"{where}: {noun} {shown(name)} is not in {self.file}{scope}{hint or '.'}"
        )


def _strings_in(text: str, slot: str, found: Any, where: str) -> tuple[str, ...]:
    """Return a slot's strings once each occurs in the text; an empty list is no value."""
    if not isinstance(found, list):
        raise TaskDataError(
            f"{where}: values of {shown(slot)} are {shown(found)}; write a list of strings."
        )
    lowered = text.casefold()
    for value in found:
        checked_text(value, f"{where}: a value of {shown(slot)}")
        if value.casefold() not in lowered:
            raise TaskDataError(
                f"{where}: value {shown(value)} of {shown(slot)} does not occur in the text; "
                "copy it from there."
            )
    return tuple(found)
