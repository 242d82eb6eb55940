"""What labels say of themselves, and who learns it."""

from __future__ import annotations

import numpy as np
import pytest

from msp.config import StudentConfig
from msp.records import Attribute, Example
from msp.students.examples import training_set
from msp.students.label_texts import label_texts
from msp.students.labeller import SeedLabeller
from msp.tasks.base import Kind
from msp.tasks.ontology import Ontology

ONTOLOGY = Ontology(
    attributes=(
        Attribute("room_service", "is the intent to ask for room service?"),
        Attribute("greet", "greet"),
        Attribute("IN:GET_INFO", "Get info"),
    ),
    slots=(Attribute("date", "a day", is_slot=True),),
)


def test_a_label_says_its_words_and_its_description_where_that_says_more() -> None:
    found = label_texts(ONTOLOGY, "multilabel")
    assert [(e.text, e.attributes) for e in found] == [
        ("room service", ("room_service",)),
        ("is the intent to ask for room service?", ("room_service",)),
        ("greet", ("greet",)),
        ("get info", ("IN:GET_INFO",)),
    ]
    assert len({e.uid for e in found}) == len(found)


@pytest.mark.parametrize("kind", ["tagging", "parse"])
def test_labels_over_words_have_no_text_of_their_own(kind: Kind) -> None:
    assert label_texts(ONTOLOGY, kind) == ()


def test_label_texts_weigh_what_the_config_says_against_all_seed_examples() -> None:
    seeds = [Example(f"s{n}", f"hello {n}", ("greet",)) for n in range(6)]
    texts = label_texts(ONTOLOGY, "multilabel")
    labels = [attribute.name for attribute in ONTOLOGY.attributes]
    config = StudentConfig(label_text_weight=0.25)
    found = training_set(seeds, (), labels=labels, config=config, seed=0, label_texts=texts)
    assert found.weights[:6].tolist() == [1.0] * 6
    assert found.weights[6:].sum() == pytest.approx(0.25 * 6)
    assert found.num_synthetic == 0


class _Encoder:
    """Tells texts apart by two words."""

    def encode(self, texts: list[str], *, batch_size: int = 64) -> np.ndarray:
        rows = [[1.0, "room" in text, "hello" in text] for text in texts]
        vectors = np.array(rows, dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_labeller_knows_a_label_that_no_seed_example_carries_by_its_words() -> None:
    seeds = [Example(f"s{n}", f"hello {n}", ("greet",)) for n in range(4)]
    labels = [attribute.name for attribute in ONTOLOGY.attributes]
    encoder = _Encoder()
    asked = encoder.encode(["a room please"])
    alone = SeedLabeller(seeds, labels, encoder, seed=0)
    texts = label_texts(ONTOLOGY, "multilabel")
    taught = SeedLabeller(seeds, labels, encoder, seed=0, label_texts=texts)
    assert alone.probabilities(asked)[0, 0] < 0.2 < taught.probabilities(asked)[0, 0]
    assert len(taught.seed_vectors) == len(seeds)
