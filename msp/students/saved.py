"""The trained student as two objects of the run, and back: what a team deploys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from msp.config import StudentConfig
from msp.errors import CheckpointError, StorageError
from msp.models.encoder import SentenceEncoder, load_encoder
from msp.storage import layout
from msp.storage.store import ObjectStore
from msp.students.examples import Floats
from msp.students.finetune import FinetunedStudent, finetuned_probabilities
from msp.students.head import HeadStudent, head_probabilities
from msp.students.tag_scheme import TagScheme
from msp.students.tagger import TaggingStudent, predict_forests, predict_forests_finetuned
from msp.students.words import NUM_SHAPES, embed_words
from msp.tasks.brackets import labels_in, read_brackets, write_brackets
from msp.tasks.placing import split_words
from msp.tasks.questions import ChoiceQuestion


class AnsweringStudent(nn.Module):
    """A small LM that has learned to write answers.

    Args:
        model: the transformers model.
        max_new_tokens: of one answer.
    """

    def __init__(self, model: nn.Module, max_new_tokens: int) -> None:
        super().__init__()
        self.model = model
        self.max_new_tokens = max_new_tokens


StudentModule = HeadStudent | FinetunedStudent | TaggingStudent | AnsweringStudent

WEIGHTS = "student.safetensors"
DESCRIPTION = "student.json"  # written last


@dataclass(frozen=True)
class Description:
    """What is needed beside the weights; ``student.json`` is this as JSON.

    Args:
        kind: ``head``, ``finetune``, or ``lm`` of a student that writes answers.
        encoder: its (or the LM's) name, as the config has it.
        dimension: of the encoder's vectors.
        labels: A of them, in the ontology's order.
        threshold: a label is said where its probability reaches it.
        is_single: whether the most probable label is said instead, and no other.
        roots: of a student that parses: labels of whole texts.
        levels: of a student that tags or parses: its chains of labels, the outermost first.
        max_new_tokens: of one answer of a student that writes.
        is_choice: whether it answers questions with options.
    """

    kind: str
    encoder: str
    dimension: int
    labels: tuple[str, ...]
    threshold: float
    is_single: bool = False
    roots: tuple[str, ...] = ()
    levels: tuple[tuple[str, ...], ...] = ()
    max_new_tokens: int = 0
    is_choice: bool = False

    @property
    def scheme(self) -> TagScheme:
        """What a student that tags or parses can say."""
        return TagScheme(self.roots, self.levels)


@dataclass(frozen=True)
class Student:
    """A trained student, ready to predict.

    Args:
        module: the head, or the fine-tuned body with its output layer.
        encoder: a fine-tuned student shares its body.
        description: labels and threshold among others.
    """

    module: StudentModule
    encoder: SentenceEncoder
    description: Description

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return [N, A] probabilities, one row a text, of a student that names labels."""
        is_single = self.description.is_single
        if isinstance(self.module, HeadStudent):
            embeddings = self.encoder.encode(texts)
            return head_probabilities(self.module, embeddings, is_single=is_single)
        assert isinstance(self.module, FinetunedStudent), "this student tags words: see tag()"
        return finetuned_probabilities(self.module, self.encoder, texts, is_single=is_single)

    def tag(self, texts: Sequence[str]) -> list[str]:
        """Return each text in brackets, of a student that tags or parses."""
        assert isinstance(self.module, TaggingStudent), "this student names labels: see predict()"
        sentences = [split_words(text) for text in texts]
        if self.module.body is None:
            features = embed_words(self.encoder, sentences)
            forests = predict_forests(self.module, sentences, features)
        else:
            forests = predict_forests_finetuned(self.module, sentences, self.encoder)
        return [write_brackets(forest) for forest in forests]

    def answer(self, questions: Sequence[ChoiceQuestion]) -> list[str]:
        """Return the chosen option of each question, of a student of questions with options."""
        from msp.students.choice import ChoiceTexts, answers_of

        assert self.description.is_choice, "this student names labels: see predict()"
        if isinstance(self.module, FinetunedStudent):
            return answers_of(self.module, questions, self.encoder)
        vectors = self.encoder.encode(ChoiceTexts.of(questions).texts)
        return answers_of(self.module, questions, list(vectors))

    def predict(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """Return each text's labels, in the ontology's order; a text may have none."""
        assert not self.description.is_choice, "this student answers questions: see answer()"
        if isinstance(self.module, TaggingStudent):
            said_in = [labels_in(read_brackets(target)) for target in self.tag(texts)]
            return [tuple(n for n in self.description.labels if n in said) for said in said_in]
        probabilities = self.probabilities(texts)
        labels = self.description.labels
        if self.description.is_single:
            return [(labels[a],) for a in probabilities.argmax(axis=1)]
        said = probabilities >= probabilities.dtype.type(self.description.threshold)
        return [tuple(labels[a] for a in np.flatnonzero(row)) for row in said]


def save_student(
    store: ObjectStore, arm: layout.Arm, module: StudentModule, description: Description
) -> None:
    """Make the store hold an arm's student: a head alone, or all weights of a fine-tuned one."""
    # Tied weights share memory, which the format refuses; a clone each is safe.
    weights = {k: v.detach().cpu().clone() for k, v in module.state_dict().items()}
    store.write(layout.student_key(arm, WEIGHTS), save(weights))
    store.write(
        layout.student_key(arm, DESCRIPTION), json.dumps(asdict(description), indent=1).encode()
    )


def load_student(store: ObjectStore, arm: layout.Arm, *, device: str = "auto") -> Student:
    """Return an arm's trained student, ready to predict.

    Args:
        store: of the run.
        arm: ``seed_only``, ``augmented``, or of a run that has them ``label_texts``,
            ``synthetic`` or ``before_relabel``.
        device: ``auto`` takes a GPU where there is one; a head is small and stays on the CPU.

    Raises:
        CheckpointError: there is no such student, it is damaged, or its encoder is not there or
            has another size.
    """
    where = f"student {arm!r} at {store.uri}"
    if arm not in layout.ARMS or not store.exists(layout.student_key(arm, DESCRIPTION)):
        raise CheckpointError(
            f"{where} is not there; a run has seed_only and augmented once they are trained, "
            "label_texts and synthetic where student.label_text_weight is above 0, and "
            "before_relabel where denoise.relabel changed labels."
        )
    try:
        found = json.loads(store.read(layout.student_key(arm, DESCRIPTION)))
        description = _description(dict(found))
        if description.kind == "lm":
            raise CheckpointError(
                f"{where} writes answers; load it by msp.students.answering.load_answering."
            )
        weights = load(store.read(layout.student_key(arm, WEIGHTS)))
        encoder = load_encoder(description.encoder, device=device)
        if encoder.dimension != description.dimension:
            raise CheckpointError(
                f"{where} is for vectors of size {description.dimension}, but encoder "
                f"{encoder.name!r} has {encoder.dimension}; it was trained with another encoder."
            )
        module = _empty_module(description, encoder, weights)
        module.load_state_dict(weights)
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError, StorageError) as error:
        raise CheckpointError(f"{where} is damaged ({error}); train it again.") from error
    return Student(module.eval(), encoder, description)


def _description(found: dict[str, Any]) -> Description:
    tuples = {name: tuple(found.get(name, ())) for name in ("labels", "roots")}
    levels = tuple(tuple(chains) for chains in found.get("levels", ()))
    return Description(**{**found, **tuples, "levels": levels})


def _empty_module(
    description: Description, encoder: SentenceEncoder, weights: Mapping[str, Tensor]
) -> StudentModule:
    # Options are scored one by one.
    num_labels = 1 if description.is_choice else len(description.labels)
    if description.levels:
        return _empty_tagger(description, encoder, weights)
    if description.kind == "finetune":
        return FinetunedStudent(encoder.body, encoder.dimension, num_labels).to(encoder.device)
    hidden_size, dimension = weights["hidden.weight"].shape
    return HeadStudent(dimension, num_labels, hidden_size=hidden_size)


def _empty_tagger(
    description: Description, encoder: SentenceEncoder, weights: Mapping[str, Tensor]
) -> TaggingStudent:
    hidden_size, dimension = weights["output.words.weight"].shape
    return TaggingStudent(
        dimension - NUM_SHAPES,
        description.scheme,
        StudentConfig(hidden_size=hidden_size),
        body=encoder.body if description.kind == "finetune" else None,
    ).to(encoder.device)
