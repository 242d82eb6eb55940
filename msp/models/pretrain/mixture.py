"""The stream of pre-training documents: every form at its share, a function of corpus and seed."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msp.models.pretrain.attributes import clean_utterances
from msp.models.pretrain.corpus import Document, Utterance, is_held_out
from msp.models.pretrain.plain_forms import PlainForms
from msp.models.pretrain.task_forms import TaskForms
from msp.models.pretrain.values import ValuePools

# Shares of characters by form, as the model is used later: task-shaped documents are 0.64 of all.
TASK_SHARES = {"labelled": 0.30, "keywords": 0.14, "listed": 0.20, "labels": 0.07}
TEXT_SHARES = {"plain": 0.18, "knowledge": 0.11}
_MEASURED_FORMS = ("labelled", "listed", "labels")
# The source of single turns of unannotated dialogues, and the domain that each corpus counts as.
SPOKEN = "spoken"
_SPOKEN_DOMAINS = {
    "self_dialogue": "small talk",
    "multiwoz_valtest": "travel",
    "dstc11_track5": "tourism",
    "camrest_woz": "restaurants",
    "taskmaster3_part": "movies",
    "taskmaster4": "coffee",
    "topical_chat": "chat",
    "synthetic_persona_chat": "personal",
    "casino": "camping",
    "opentriviaqa": "trivia",
}


@dataclass(slots=True)
class Corpus:
    """What was read, cleaned and split: one side of the held-out split, and the value pools."""

    utterances: list[Utterance]
    documents: list[Document]
    pools: ValuePools


def build_corpora(
    utterances: Sequence[Utterance], documents: Sequence[Document]
) -> tuple[Corpus, Corpus]:
    """(training, held-out); about 1 % of distinct texts are held out, by their bytes."""
    words = _word_counts(utterances, documents)
    cleaned = clean_utterances(utterances, words) + _spoken_utterances(documents)
    sides = []
    for held in (False, True):
        kept = [u for u in cleaned if is_held_out(u.text) == held]
        texts = [d for d in documents if is_held_out(d.segments[0]) == held]
        sides.append((kept, texts))
    pools = ValuePools.gather(*sides[0])
    held_pools = ValuePools.gather(*sides[1])
    return Corpus(*sides[0], pools), Corpus(*sides[1], held_pools)


class Mixture:
    """An endless stream of documents; always of the form that lags its share the most.

    Forms for which the corpus has no material (no utterances, no documents)
    are left out, and the others keep their proportions.
    """

    def __init__(self, corpus: Corpus, seed: int, source_weights: Mapping[str, float]) -> None:
        self._task = TaskForms(corpus.utterances, corpus.pools)
        self._plain = PlainForms(corpus.utterances, corpus.documents, corpus.pools)
        counts = Counter(utterance.source for utterance in corpus.utterances)
        self._has_spoken = SPOKEN in counts
        self._sources = [source for source in sorted(counts) if source != SPOKEN]
        self._weights = [source_weights.get(s, counts[s] ** 0.5) for s in self._sources]
        forms = (
            *(TASK_SHARES if self._sources else ()),
            *(TEXT_SHARES if corpus.documents else ()),
        )
        self._shares = {form: (TASK_SHARES | TEXT_SHARES)[form] for form in forms}
        self._seed = seed

    @property
    def held_out_forms(self) -> tuple[str, ...]:
        """The task-shaped and label forms, one for each source of utterances."""
        return tuple(f"{form}_{s}" for form in _MEASURED_FORMS for s in self._sources)

    def documents(self, part: int) -> Iterator[str]:
        """Part `part` of the stream; each follows from corpus, seed and part alone."""
        rng = random.Random(f"{self._seed}/{part}")
        written: Counter[str] = Counter()
        while self._shares:
            form = min(self._shares, key=lambda name: written[name] / self._shares[name])
            document = self._make(form, rng)
            written[form] += len(document)
            yield document

    def of_form(self, name: str) -> Iterator[str]:
        """An endless stream of one of `held_out_forms`."""
        form, source = name.split("_", 1)
        rng = random.Random(f"{self._seed}/{name}")
        while True:
            yield self._from_utterances(form, source, rng)

    def _make(self, form: str, rng: random.Random) -> str:
        if form == "plain":
            return self._plain.plain(rng)
        if form == "knowledge":
            return self._plain.knowledge(rng)
        source = rng.choices(self._sources, self._weights)[0]
        return self._from_utterances(form, source, rng)

    def _from_utterances(self, form: str, source: str, rng: random.Random) -> str:
        if form == "labels":
            return self._plain.labels(source, rng)
        if form == "listed":
            return self._task.listed(source, rng)
        if form == "keywords":
            spoken = self._has_spoken and rng.random() < 0.6
            return self._task.labelled(SPOKEN if spoken else source, rng, keywords=True)
        return self._task.labelled(source, rng)


def held_out_streams(mixture: Mixture, corpus: Corpus) -> dict[str, Iterable[str]]:
    """Documents by source: each task-shaped form of each source, and each corpus as it is."""
    streams: dict[str, list[str]] = {}
    for document in corpus.documents:
        streams.setdefault(document.corpus, []).append("\n".join(document.segments) + "\n")
    forms = {f"form_{form}": mixture.of_form(form) for form in mixture.held_out_forms}
    return {**streams, **forms}


def _spoken_utterances(documents: Sequence[Document]) -> list[Utterance]:
    """Single turns of unannotated dialogues, for lists whose attributes are words of the text."""
    found: list[Utterance] = []
    for document in documents:
        if document.corpus in _SPOKEN_DOMAINS:
            turns = (
                document.segments[:1] if document.corpus == "opentriviaqa" else document.segments
            )
            domain = _SPOKEN_DOMAINS[document.corpus]
            found += [
                Utterance(SPOKEN, domain, "user", (), (), turn)
                for turn in turns
                if 12 < len(turn) < 140
            ]
    return found


def _word_counts(utterances: Sequence[Utterance], documents: Sequence[Document]) -> Counter[str]:
    words: Counter[str] = Counter()
    for utterance in utterances:
        words.update(re.findall(r"[a-z]+", utterance.text.lower()))
    for document in documents:
        for segment in document.segments[:8]:
            words.update(re.findall(r"[a-z]+", segment[:1000].lower()))
    return words
