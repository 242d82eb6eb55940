"""ActDial: which dialogue acts an utterance performs, several at once.

The file is as published: a JSON list of segments, each with ``index``
(``dataset_split_conversation_utterance_segment``), ``fs_text`` and ``annotation``, which is
an act or ``No Need to Label``. Its segments together are the utterance, and
their acts its labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msp.config import TaskConfig
from msp.errors import TaskDataError, did_you_mean
from msp.records import Attribute, Example
from msp.tasks.base import TaskData
from msp.tasks.ontology import Ontology, load_ontology
from msp.tasks.reading import checked_text, read_json, shown
from msp.tasks.splits import Parts, build_task

DOMAIN = "dialogue"
UNLABELLED = "no need to label"
_SPLITS = {"train": "train", "dev": "dev", "valid": "dev", "test": "test"}
_KEYS = ("index", "fs_text", "annotation")


def load(config: TaskConfig, *, seed: int) -> TaskData:
    """Return ActDial from one of its JSON files; an utterance without an act is left out.

    Segments without a label stay out of the text, as in MSP. ``few_shot`` draws
    ``task.shots`` utterances of each act. Without ``task.ontology`` the acts are those that
    occur. A message counts segments from 0.

    Raises:
        TaskDataError: the file is missing or a segment is not as published.
    """
    path = Path(config.path).expanduser()
    segments = read_json(path)
    if not isinstance(segments, list):
        raise TaskDataError(f"{path.name}: holds {shown(segments)}, not a list of segments.")
    for number, segment in enumerate(segments):
        _check_segment(segment, f"{path.name}, segment {number}")
    ontology, file = _ontology(config, segments)
    utterances: dict[tuple[str, ...], list[tuple[int, Mapping[str, Any]]]] = {}
    for number, segment in enumerate(segments):
        key = tuple(segment["index"].split("_")[:-1])
        utterances.setdefault(key, []).append((number, segment))
    splits: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
    num_silent = 0
    for key, parts_of_it in utterances.items():
        example = _example(key, parts_of_it, ontology, (path.name, file))
        num_silent += not example.attributes
        if example.attributes:
            splits[_SPLITS[key[1]]].append(example)
    note = f"left out {num_silent} of {len(utterances)} utterances: none of their acts is labelled."
    parts = Parts(
        training=splits["train"],
        dev=splits["dev"],
        test=splits["test"],
        source=path.name,
        dev_fraction=config.dev_fraction,
        notes=(note,) if num_silent else (),
    )
    return build_task(parts, ontology, domain=DOMAIN, config=config, seed=seed)


def _check_segment(segment: Any, where: str) -> None:
    if not isinstance(segment, dict) or any(key not in segment for key in _KEYS):
        raise TaskDataError(f"{where}: is {shown(segment)}; a segment has {', '.join(_KEYS)}.")
    index = segment["index"]
    pieces = index.split("_") if isinstance(index, str) else []
    if len(pieces) != 5 or pieces[1] not in _SPLITS:
        raise TaskDataError(
            f"{where}: index is {shown(index)}; it is dataset_SPLIT_conversation_utterance_segment "
            f"with a split of {', '.join(_SPLITS)}."
        )
    checked_text(segment["annotation"], f"{where}: annotation")


def _ontology(config: TaskConfig, segments: Sequence[Mapping[str, Any]]) -> tuple[Ontology, str]:
    if config.ontology is not None:
        path = Path(config.ontology).expanduser()
        return load_ontology(path), path.name
    acts = sorted({s["annotation"].strip() for s in segments if not _is_unlabelled(s)})
    if not acts:
        raise TaskDataError(f"{config.path}: no segment has an act; a task needs labels.")
    return Ontology(tuple(Attribute(act, Attribute(act, "").words) for act in acts)), "the file"


def _is_unlabelled(segment: Mapping[str, Any]) -> bool:
    return str(segment["annotation"]).strip().casefold() == UNLABELLED


def _example(
    key: tuple[str, ...],
    segments: Sequence[tuple[int, Mapping[str, Any]]],
    ontology: Ontology,
    files: tuple[str, str],
) -> Example:
    file, ontology_file = files
    texts, acts = [], []
    for number, segment in segments:
        if _is_unlabelled(segment):
            continue
        where = f"{file}, segment {number}"
        act = segment["annotation"].strip()
        if act not in ontology.positions:
            near = did_you_mean(act, ontology.positions)
            raise TaskDataError(f"{where}: act {shown(act)} is not in {ontology_file}{near or '.'}")
        texts.append(checked_text(segment["fs_text"], f"{where}: fs_text").strip())
        acts.append(act)
    return Example("_".join(key), " ".join(texts), ontology.order(acts), {}, DOMAIN)
