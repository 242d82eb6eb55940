"""The tagging student learns entities and parses, and never says what is no span."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msp.config import StudentConfig
from msp.models.encoder import load_encoder
from msp.records import Attribute, Example
from msp.storage.store import open_store
from msp.students.examples import LabelledTexts, labelled_texts, training_set_of
from msp.students.kinds import Learner, make_learner
from msp.students.saved import load_student, save_student
from msp.students.tagger import decode_levels
from msp.students.words import embed_words
from msp.tasks.base import Kind, TaskData
from msp.tasks.brackets import labels_in, read_brackets, words_in
from msp.tasks.ontology import Ontology

NAMES, CITIES = ("Ann", "Bob", "Eve"), ("Rome", "Oslo", "Bonn")
ENTITIES = [f"call [person {n} ] in [city {c} ] now" for n, c in product(NAMES, CITIES)]
PARSES = [
    f"[IN:CALL call [SL:WHOM {n} ] [SL:TODO [IN:GO to [SL:PLACE {c} ] ] ] ]"
    for n, c in product(NAMES, CITIES)
] + [f"[IN:STOP stop [SL:WHOM {n} ] ]" for n in NAMES]


def make_task(targets: list[str], kind: Kind) -> TaskData:
    found = [(target, read_brackets(target)) for target in targets]
    names = sorted({label for _, forest in found for label in labels_in(forest)})
    ontology = Ontology(tuple(Attribute(name, name) for name in names))
    examples = tuple(
        Example(f"e{i}", " ".join(words_in(f)), ontology.order(labels_in(f)), {}, "d", target)
        for i, (target, f) in enumerate(found)
    )
    tags = tuple(names) if kind == "tagging" else ()
    return TaskData(ontology, "d", examples, (), examples, "", kind=kind, tags=tags)


TASKS = {"tagging": make_task(ENTITIES, "tagging"), "parse": make_task(PARSES, "parse")}


def split_of(task: TaskData) -> LabelledTexts:
    return labelled_texts(task.test, [a.name for a in task.ontology.attributes], task.kind)


def learned(task: TaskData, encoder: Path | str, *, steps: int, kind: str = "head"):
    config = StudentConfig.model_validate(
        {
            "kind": kind,
            "num_steps": steps,
            "batch_size": 8,
            "hidden_size": 64,
            "learning_rate": 5e-3,
            "encoder_learning_rate": 3e-3,
        }
    )
    learner = make_learner(task, ["standard", "paper_compatible"])
    body = load_encoder(str(encoder), device="cpu")
    training = training_set_of(task, (), config=config, seed=1)
    if kind == "finetune":
        return learner, learner.finetune(config, training, body, seed=1), body
    features = learner.embed(body, learner.inputs(training))
    return learner, learner.train_head(config, training, features, seed=1), body


def scores_of(learner: Learner, module, task: TaskData, seen) -> dict[str, float]:
    split = split_of(task)
    nothing = labelled_texts((), [a.name for a in task.ontology.attributes], task.kind)
    metrics = learner.score(([], nothing), (learner.answers(module, split, seen), split))["metrics"]
    assert isinstance(metrics, dict)
    return metrics


@pytest.mark.parametrize("kind", ["tagging", "parse"])
def test_it_learns_what_it_is_shown_on_frozen_vectors(kind: str) -> None:
    task = TASKS[kind]
    learner, module, encoder = learned(task, "minilm", steps=120)
    seen = learner.embed(encoder, learner.inputs(split_of(task)))
    metrics = scores_of(learner, module, task, seen)
    name = "entity_f1" if kind == "tagging" else "exact_match"
    assert metrics[name] > 95 and any(key.startswith("paper_") for key in metrics)


@pytest.mark.parametrize("kind", ["tagging", "parse"])
def test_a_whole_body_learns_with_it(kind: str, tiny_llama_path: Path) -> None:
    task = TASKS[kind]
    learner, module, encoder = learned(task, tiny_llama_path, steps=80, kind="finetune")
    name = "entity_f1" if kind == "tagging" else "exact_match"
    assert scores_of(learner, module, task, encoder)[name] > 50


@pytest.mark.parametrize("kind", ["head", "finetune"])
def test_it_comes_back_from_the_store_as_it_was(kind: str, tiny_t5_path, tmp_path: Path) -> None:
    task = TASKS["parse"]
    learner, module, encoder = learned(task, tiny_t5_path, steps=20, kind=kind)
    store = open_store(str(tmp_path / "run"))
    described = learner.describe(kind, (str(tiny_t5_path), encoder.dimension), module, {})
    save_student(store, "augmented", module, described)
    student = load_student(store, "augmented", device="cpu")
    split = split_of(task)
    seen = encoder if kind == "finetune" else learner.embed(encoder, learner.inputs(split))
    said = [read_brackets(target) for target in student.tag(split.texts)]
    assert said == learner.answers(module, split, seen)
    assert all(
        set(labels) <= set(labels_in(f))
        for labels, f in zip(student.predict(split.texts), said, strict=True)
    )


def test_the_same_seed_gives_the_same_student_and_leaves_the_random_state(tiny_llama_path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    made = [learned(TASKS["tagging"], tiny_llama_path, steps=3)[1] for _ in range(2)]
    weights = [module.output["tags"].weight for module in made]
    assert torch.equal(torch.rand(3), expected) and torch.equal(*weights)


def test_texts_without_words_and_longer_than_the_encoder_get_an_answer(tiny_llama_path) -> None:
    encoder = load_encoder(str(tiny_llama_path), device="cpu")
    long = ["word"] * 1000
    vectors = embed_words(encoder, [[], long, ["a"]])
    assert [len(v) for v in vectors] == [0, 1000, 1] and not vectors[1][-1, :-6].any()


@given(st.integers(0, 2**32 - 1))
def test_decoded_tags_are_spans_and_children_stay_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = [5, 0, 3]
    tags = decode_levels([rng.normal(size=(3, 5, 5)), rng.normal(size=(3, 5, 3))], lengths)
    for sentence, length in enumerate(lengths):
        assert not tags[:, sentence, length:].any()
        for level in tags[:, sentence, :length].tolist():
            for before, tag in zip([0, *level], level, strict=False):
                assert not tag or tag % 2 or before in (tag - 1, tag)
        outer, inner = tags[:, sentence, :length]
        assert not inner[outer == 0].any()
        assert not ((outer % 2 == 1) & (inner > 0) & (inner % 2 == 0)).any()


def test_decoding_finds_the_best_path_that_is_allowed() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(1, 4, 5))

    def allowed(path: tuple[int, ...]) -> bool:
        pairs = zip((0, *path), path, strict=False)
        return all(not tag or tag % 2 or before in (tag - 1, tag) for before, tag in pairs)

    paths = [path for path in product(range(5), repeat=4) if allowed(path)]
    best = max(paths, key=lambda path: sum(scores[0, w, t] for w, t in enumerate(path)))
    assert decode_levels([scores], [4])[0, 0].tolist() == list(best)
