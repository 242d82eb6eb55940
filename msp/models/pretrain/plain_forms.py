"""Documents that are not utterance lists: labels, dialogues, questions, definitions, entities."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Sequence

from msp.models.pretrain.corpus import Document, Utterance
from msp.models.pretrain.lines import make_line
from msp.models.pretrain.values import ValuePools

# Share of plain documents by corpus; a corpus not named here weighs _OTHER. Conversational
# English first: the model is asked for utterances far more often than for prose.
_PLAIN_WEIGHTS = {
    "sgd": 8.0, "self_dialogue": 18.0, "multiwoz_valtest": 8.0, "dstc11_track5": 8.0,
    "camrest_woz": 3.0, "taskmaster3_part": 4.0, "taskmaster4": 4.0, "topical_chat": 10.0,
    "synthetic_persona_chat": 8.0, "casino": 4.0, "fairytaleqa": 4.0, "african_storybook": 2.0,
    "pratham_storyweaver": 2.0, "openstax": 4.0, "qmsum": 3.0, "classic_books": 3.0,
    "us_speeches": 2.0, "changelog_transcripts": 3.0, "factbook": 2.0, "arxiv_abstracts": 1.0,
}  # fmt: skip
_OTHER = 4.0
_NOT_PLAIN = frozenset({"opentriviaqa", "english_wordnet", "t0_mix_subset"})
_KNOWLEDGE = ("opentriviaqa", "english_wordnet", "t0_mix_subset", "fairytaleqa")
_DIALOGUES = frozenset(
    "sgd self_dialogue multiwoz_valtest dstc11_track5 camrest_woz taskmaster3_part taskmaster4 "
    "topical_chat synthetic_persona_chat casino".split()
)
_MAX_CHARACTERS = 1800
_MAX_SENTENCES = 5
_MAX_DRAWS = 60
_CAPITALISED = re.compile(r"(?<=[a-z,] )[A-Z][\w-]+(?: (?:of |the )?[A-Z][\w-]+)*|\b\d{4}\b")


class PlainForms:
    """Draws documents of every other form; the same random state gives the same text."""

    def __init__(
        self, utterances: Sequence[Utterance], documents: Sequence[Document], pools: ValuePools
    ) -> None:
        self._pools = pools
        self._utterances: dict[str, list[Utterance]] = defaultdict(list)
        self._attributes: dict[tuple[str, str], list[str]] = defaultdict(list)
        for utterance in utterances:
            self._utterances[utterance.source].append(utterance)
            self._attributes[utterance.source, utterance.domain] += utterance.attributes
        self._documents: dict[str, list[Document]] = defaultdict(list)
        for document in documents:
            self._documents[document.corpus].append(document)
        plain = [
            c
            for c in self._documents
            if c not in ("opentriviaqa", "english_wordnet", "t0_mix_subset")
        ]
        self._plain = plain or list(self._documents)
        self._weights = [_PLAIN_WEIGHTS.get(corpus, _OTHER) for corpus in self._plain]
        self._knowledge = [c for c in _KNOWLEDGE if c in self._documents] or self._plain

    def labels(self, source: str, rng: random.Random) -> str:
        """Sentences with their labels, or with a yes/no or multiple-choice question on them."""
        ask = rng.choice((self._full_label, self._yes_no, self._choice))
        blocks = [ask(rng.choice(self._utterances[source]), rng) for _ in range(rng.randint(1, 5))]
        return "\n".join(blocks)

    def plain(self, rng: random.Random) -> str:
        """A window of a dialogue or of a text, one segment a line."""
        corpus = rng.choices(self._plain, self._weights)[0]
        segments = rng.choice(self._documents[corpus]).segments
        start = rng.randrange(len(segments)) if sum(map(len, segments)) > _MAX_CHARACTERS else 0
        named = corpus in _DIALOGUES and rng.random() < 0.5
        lines: list[str] = []
        for turn, segment in enumerate(segments[start:]):
            if sum(map(len, lines)) > _MAX_CHARACTERS:
                break
            speaker = ("User: ", "Assistant: ")[(start + turn) % 2] if named else ""
            lines.append(speaker + segment[:_MAX_CHARACTERS])
        return "\n".join(lines) + "\n"

    def knowledge(self, rng: random.Random) -> str:
        """Questions with options and answers, definitions, or sentences with their entities."""
        if rng.random() < 0.35:
            return self._entities(rng)
        corpus = rng.choice(self._knowledge)
        drawn = (rng.choice(self._documents[corpus]).segments for _ in range(rng.randint(1, 4)))
        blocks = [_knowledge_block(corpus, segments) for segments in drawn]
        kept = [block[:_MAX_CHARACTERS] for block in blocks if block]
        return "\n\n".join(kept) + "\n" if kept else self._entities(rng)

    def _entities(self, rng: random.Random) -> str:
        """Sentences with the names and years in them, as a bracket or as a line after."""
        lines: list[str] = []
        bracketed = rng.random() < 0.7
        for _ in range(_MAX_DRAWS):
            segments = rng.choice(self._documents[rng.choice(self._plain)]).segments
            found = _entity_sentence(rng.choice(segments))
            if found:
                sentence, entities = found
                rng.shuffle(entities)
                lines.append(_entity_line(sentence, entities, len(lines) + 1, bracketed))
            if len(lines) == _MAX_SENTENCES:
                break
        return "\n".join(lines) + "\n" if lines else self.plain(rng)

    def _full_label(self, utterance: Utterance, rng: random.Random) -> str:
        line = make_line(utterance, self._pools, rng)
        mentions = f"Mentions: {'; '.join(line.values)}\n" if line.values else ""
        expresses = "; ".join(line.attributes)
        return (
            f"Sentence: {line.text}\nDomain: {utterance.domain}\nExpresses: {expresses}\n{mentions}"
        )

    def _yes_no(self, utterance: Utterance, rng: random.Random) -> str:
        line = make_line(utterance, self._pools, rng)
        true = rng.random() < 0.5
        name = rng.choice(line.attributes) if true else self._other(utterance, rng)
        answer = "yes" if name in line.attributes else "no"
        return f"Sentence: {line.text}\nDoes it express {name}?\nAnswer: {answer}\n"

    def _choice(self, utterance: Utterance, rng: random.Random) -> str:
        line = make_line(utterance, self._pools, rng)
        right = rng.choice(line.attributes)
        options = [right, *(self._other(utterance, rng) for _ in range(rng.randint(1, 4)))]
        options = [o for o in dict.fromkeys(options) if o == right or o not in line.attributes]
        rng.shuffle(options)
        return f"Sentence: {line.text}\nOptions: {'; '.join(options)}\nLabel: {right}\n"

    def _other(self, utterance: Utterance, rng: random.Random) -> str:
        return rng.choice(self._attributes[utterance.source, utterance.domain])


def _knowledge_block(corpus: str, segments: Sequence[str]) -> str:
    """A question with its answer, a definition, a solved task; empty for a tale."""
    if corpus != "fairytaleqa":
        return "\n".join(segments)
    return f"Question: {segments[0]}\nAnswer: {segments[1]}" if len(segments) == 2 else ""


def _entity_sentence(segment: str) -> tuple[str, list[str]] | None:
    """The first sentence of the segment that has names in it, and up to six of them."""
    for sentence in re.split(r"(?<=[.!?]) ", segment[:900]):
        entities = list(dict.fromkeys(_CAPITALISED.findall(sentence)))[:6]
        if entities and 20 < len(sentence) < 260:
            return sentence, entities
    return None


def _entity_line(sentence: str, entities: list[str], number: int, bracketed: bool) -> str:
    joined = "; ".join(entities)
    if bracketed:
        return f"{number}) [{joined}] {sentence}"
    return f"Sentence: {sentence}\nEntities: {joined}"
