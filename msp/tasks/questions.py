"""Questions with options, one of which is right, as LLM Data Creation publishes them.

The folder holds a folder for each family (arXiv 2310.20111): ``mcqa_2/winogrande``,
``mcqa_5/csqa``, ``yesno_close/strategyqa``, ``yesno_open/pubmedqa``, ``yesno_open/boolq``,
each with ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl``. A line is an object
``{"question": ..., "context": ..., "options": [...], "label": ...}``; the context is null
where the family has none, and a label of yes/no questions is true or false.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from msp.config import TaskConfig
from msp.errors import TaskDataError
from msp.records import Attribute, Example
from msp.tasks.base import QuestionForm, TaskData, content_hash
from msp.tasks.ontology import Ontology
from msp.tasks.reading import check_keys, checked_text, read_json_lines, shown
from msp.tasks.splits import Parts, build_task

YES_NO = ("True", "False")
# The one label of a task whose options are each question's own: which is right is in the target.
OPEN = "question"
_KEYS = ("question", "context", "options", "label")


@dataclass(frozen=True)
class ChoiceQuestion:
    """A question with its options and the right one.

    Args:
        question: as it is asked.
        context: what it is asked about; None where it needs none.
        options: in their order; published data names one twice now and then.
        label: the right option, in its own words.
    """

    question: str
    context: str | None
    options: tuple[str, ...]
    label: str

    @property
    def target(self) -> str:
        """All but the question, in one line of JSON: what an example keeps as its target."""
        found = {"context": self.context, "options": self.options, "label": self.label}
        return json.dumps(found, ensure_ascii=False)

    @classmethod
    def of(cls, text: str, target: str) -> ChoiceQuestion:
        """Return the question that an example's text and target say."""
        found = json.loads(target)
        return cls(text, found["context"], tuple(found["options"]), found["label"])


@dataclass(frozen=True)
class _Set:
    """Where a published set is, and what its questions are like."""

    folder: str
    form: QuestionForm


_SETS = {
    "winogrande": _Set("mcqa_2/winogrande", QuestionForm(2)),
    "csqa": _Set("mcqa_5/csqa", QuestionForm(5)),
    "strategyqa": _Set("yesno_close/strategyqa", QuestionForm(2, YES_NO)),
    "pubmedqa": _Set("yesno_open/pubmedqa", QuestionForm(2, YES_NO, has_context=True)),
    "boolq": _Set("yesno_open/boolq", QuestionForm(2, YES_NO, has_context=True)),
}


def load(config: TaskConfig, *, seed: int, name: str) -> TaskData:
    """Return a published set of questions.

    Args:
        config: ``path`` is the folder of all families, or the set's own.
        seed: of the few-shot draw.
        name: of the set.

    Raises:
        TaskDataError: a file is missing, or a line is not as published; names file and line.
    """
    form, folder = _SETS[name].form, _folder(config, name)
    training, dev, test = (
        _read(folder / f"{split}.jsonl", form, name) for split in ("train", "dev", "test")
    )
    parts = Parts(training, dev, test, folder.name, config.dev_fraction, kind="choice")
    task = build_task(parts, ontology_of(form), domain=name, config=config, seed=seed)
    notes = (*task.notes, *_doubled((*task.seeds, *task.dev, *task.test)))
    further: dict[str, tuple[Example, ...]] = {
        other: _test_of(config, other) for other in config.also_test if other != name
    }
    task = replace(task, questions=form, notes=notes, also_test=further)
    if not further:
        return task
    splits = (task.seeds, task.dev, task.test, *further.values())
    return replace(task, content_hash=content_hash(task.ontology, *splits))


READERS = {name: partial(load, name=name) for name in _SETS}


def ontology_of(form: QuestionForm) -> Ontology:
    """Return what can be asked for: a right answer where options are fixed, else a question."""
    if form.options:
        return Ontology(
            tuple(Attribute(o, f"a question whose answer is {o}") for o in form.options)
        )
    return Ontology((Attribute(OPEN, f"a question with {form.num_options} options"),))


def attributes_of(question: ChoiceQuestion, form: QuestionForm) -> tuple[str, ...]:
    """Return what a question counts as: see :func:`ontology_of`."""
    return (question.label if form.options else OPEN,)


def checked_question(row: Any, form: QuestionForm, where: str) -> ChoiceQuestion:
    """Return the question that a row says.

    Raises:
        TaskDataError: it is not of that form; the message opens with ``where``.
    """
    if not isinstance(row, Mapping):
        raise TaskDataError(f"{where}: is {shown(row)}; write an object with {', '.join(_KEYS)}.")
    check_keys(row, _KEYS, where)
    options = _options(row.get("options"), form, where)
    return ChoiceQuestion(
        question=checked_text(row.get("question"), f"{where}: question").strip(),
        context=_context(row.get("context"), form, where),
        options=options,
        label=_label(row.get("label"), options, where),
    )


def _folder(config: TaskConfig, name: str) -> Path:
    folder = Path(config.path).expanduser()
    own = folder / _SETS[name].folder
    return own if own.is_dir() else folder


def _test_of(config: TaskConfig, name: str) -> tuple[Example, ...]:
    """Return another set's test questions; what they count as here, nobody asks."""
    folder = Path(config.path).expanduser() / _SETS[name].folder
    found = _read(folder / "test.jsonl", _SETS[name].form, name)
    return tuple(replace(example, attributes=()) for example in found)


def _options(found: Any, form: QuestionForm, where: str) -> tuple[str, ...]:
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise TaskDataError(f"{where}: options are {shown(found)}; write a list of strings.")
    options = tuple(checked_text(option, f"{where}: an option").strip() for option in found)
    if form.options and options != form.options:
        raise TaskDataError(
            f"{where}: options are {shown(list(options))}, but those of yes/no questions are "
            f"always {list(form.options)}; write these, in this order."
        )
    if len(options) != form.num_options:
        raise TaskDataError(
            f"{where}: has {len(options)} options ({shown(list(options))}), but every question of "
            f"this set has {form.num_options}; write as many."
        )
    return options


def _context(found: Any, form: QuestionForm, where: str) -> str | None:
    if form.has_context:
        return checked_text(found, f"{where}: context").strip()
    if found is not None and found != "":
        raise TaskDataError(
            f"{where}: context is {shown(found)}, but questions of this set have none; write null."
        )
    return None


def _label(found: Any, options: Sequence[str], where: str) -> str:
    label = str(found) if isinstance(found, bool) else found
    label = label.strip() if isinstance(label, str) else label
    if label not in options:
        raise TaskDataError(
            f"{where}: label {shown(found)} is not among its options; write one of "
            f"{', '.join(shown(option) for option in options)}."
        )
    return str(label)


def _read(path: Path, form: QuestionForm, domain: str) -> list[Example]:
    found = []
    for number, row in read_json_lines(path):
        question = checked_question(row, form, f"{path.name}, line {number}")
        attributes = attributes_of(question, form)
        uid = f"{path.name}:{number}"
        found.append(
            Example(uid, question.question, attributes, {}, domain, target=question.target)
        )
    return found


def _doubled(examples: Sequence[Example]) -> list[str]:
    """Return a note on published questions that name an option twice, which stay as they are."""
    options = [ChoiceQuestion.of(e.text, e.target or "").options for e in examples]
    num = sum(len(set(named)) < len(named) for named in options)
    return [f"{num} of {len(examples)} questions name an option twice."] if num else []
