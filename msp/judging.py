"""The judge of a run, put together: encoder, seed examples and the classifier of these."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from msp.config import RunConfig
from msp.denoise.agreement import NovelRule, SpanRule
from msp.denoise.contamination import EvaluationTexts, read_evaluation_texts
from msp.denoise.near import NearTexts
from msp.denoise.questions import QuestionScorer
from msp.denoise.relabel import Relabeller, Relabelling, check_relabel
from msp.denoise.scorer import (
    UNANSWERED,
    UNPLACED_VALUE,
    TargetOf,
    UnitScorer,
    labels_as_target,
)
from msp.denoise.unasked import LabelledWords
from msp.records import Constraint
from msp.tasks.answers import final_number, named_tests, split_answer
from msp.tasks.base import WRITTEN, Kind, TaskData
from msp.tasks.placing import target_of

if TYPE_CHECKING:
    from msp.models.encoder import SentenceEncoder
    from msp.students.labeller import SeedLabeller

# Kinds of tasks whose labels stand over words.
_LABELS_WORDS: tuple[Kind, ...] = ("tagging", "parse")


def make_scorer(
    config: RunConfig, task: TaskData, evaluation: EvaluationTexts | None = None
) -> UnitScorer | QuestionScorer:
    """Return what gives every candidate of the run its verdict.

    Args:
        config: the run's config.
        task: the task's seed examples and ontology.
        evaluation: texts that no candidate may hold, from :func:`evaluation_texts`.

    Raises:
        CheckpointError: the encoder is not there.
    """
    if task.questions is not None:
        return QuestionScorer(config, task, evaluation)
    encoder, labeller = _learned_judges(config, task)
    labels_words = task.kind in _LABELS_WORDS
    return UnitScorer(
        config.denoise,
        encoder,
        task.seeds,
        labeller=labeller,
        evaluation=evaluation,
        rejected=task.rejected,
        kept_before=task.kept_before,
        target_of=_target_of(task),
        labelled_words=LabelledWords(s.target or "" for s in task.seeds) if labels_words else None,
        relabelling=_relabelling(config, task, encoder),
        untargeted=UNANSWERED if task.kind in WRITTEN else UNPLACED_VALUE,
        novel_rule=_novel_rule(config, task, encoder),
        span_rule=_span_rule(config, task, encoder) if labels_words else None,
    )


def _span_rule(
    config: RunConfig, task: TaskData, encoder: SentenceEncoder | None
) -> SpanRule | None:
    if not config.denoise.span_agreement:
        return None
    from msp.models.encoder import load_encoder
    from msp.students.seed_tagger import SeedTagger

    denoise = config.denoise
    encoder = encoder or load_encoder(denoise.encoder, dtype=denoise.precision)
    spotter = SeedTagger(task, encoder, seed=config.seed)
    return SpanRule(spotter, denoise.span_agreement)


def _novel_rule(
    config: RunConfig, task: TaskData, encoder: SentenceEncoder | None
) -> NovelRule | None:
    share = config.denoise.novel_agreement
    # Elsewhere no new combination is planned.
    if share is None or encoder is None or task.kind != "multilabel":
        return None
    from msp.students.ensemble import SeedEnsemble, try_on_held_out

    labels = tuple(attribute.name for attribute in task.ontology.attributes)
    vectors = encoder.encode([seed.text for seed in task.seeds])
    ensemble = SeedEnsemble(task.seeds, vectors, labels, seed=config.seed)
    trial = try_on_held_out(task.seeds, vectors, labels, share=share, seed=config.seed)
    return NovelRule(ensemble, labels, trial.threshold)


def _relabelling(
    config: RunConfig, task: TaskData, encoder: SentenceEncoder | None
) -> Relabelling | None:
    if config.relabel == "none":
        return None
    return Relabelling(make_relabeller(config, task, encoder), config.relabel)


def make_relabeller(
    config: RunConfig, task: TaskData, encoder: SentenceEncoder | None = None
) -> Relabeller:
    """Return what says which class a text has: shortlist and frozen LM, or the scripted stand-in.

    Args:
        config: ``model``, ``generate.engine`` and ``denoise``.
        task: a task with one label a text.
        encoder: where it is loaded already.

    Raises:
        ConfigError: texts of the task have several labels.
        CheckpointError: the encoder or the LM is not there.
    """
    check_relabel(config, task)
    sizes = {
        "size": config.denoise.relabel_shortlist,
        "exemplars": config.denoise.relabel_exemplars,
    }
    if config.generate.engine == "scripted":
        from msp.engines.scripted_choice import ScriptedChooser, WordVectors

        return Relabeller(task, encoder or WordVectors(), ScriptedChooser(), **sizes)
    from msp.engines.choice import LMChooser
    from msp.models.encoder import load_encoder
    from msp.models.frozen_lm import load_frozen_lm

    encoder = encoder or load_encoder(config.denoise.encoder, dtype=config.denoise.precision)
    return Relabeller(task, encoder, LMChooser(load_frozen_lm(config.model)), **sizes)


def judges_with_models(config: RunConfig, kind: Kind) -> bool:
    """Tell whether a verdict on a kind of task needs encoder, taggers or an LM, and so torch."""
    if config.relabel != "none" and config.generate.engine != "scripted":
        return True
    with_tagger = kind in _LABELS_WORDS and config.denoise.span_agreement > 0.0
    return (config.denoise.needs_encoder or with_tagger) and kind != "choice"


def _learned_judges(
    config: RunConfig, task: TaskData
) -> tuple[SentenceEncoder | None, SeedLabeller | None]:
    """Return those judges that the noise score needs."""
    denoise = config.denoise
    if not denoise.needs_encoder:
        return None, None
    # Workers that judge without them, or only move shards, load no torch.
    from msp.models.encoder import load_encoder
    from msp.students.label_texts import label_texts
    from msp.students.labeller import SeedLabeller

    encoder = load_encoder(denoise.encoder, dtype=denoise.precision)
    if not denoise.disagreement_weight:
        return encoder, None
    labels = [attribute.name for attribute in task.ontology.attributes]
    return encoder, SeedLabeller(
        task.seeds,
        labels,
        encoder,
        seed=config.seed,
        is_single=task.kind == "single_label",
        label_texts=label_texts(task.ontology, task.kind) if denoise.label_text_weight else (),
        label_text_weight=denoise.label_text_weight,
    )


def _target_of(task: TaskData) -> TargetOf:
    if task.kind in WRITTEN:
        return partial(_written_answer, kind=task.kind)
    if task.kind in _LABELS_WORDS:
        return partial(target_of, kind=task.kind, labels=task.tags)
    return labels_as_target


def _written_answer(constraint: Constraint, text: str, *, kind: Kind) -> str | None:
    """Return the answer that a text holds; None where it has none of its kind."""
    found = split_answer(text)
    if found is None:
        return None
    question, answer = found
    is_whole = final_number(answer) is not None if kind == "number" else bool(named_tests(question))
    return answer if is_whole else None


def evaluation_texts(config: RunConfig, task: TaskData) -> EvaluationTexts:
    """Return the texts of the task's dev and test sets and ``denoise.decontaminate``, hashed.

    Raises:
        ConfigError: a file of ``denoise.decontaminate`` is not there.
        TaskDataError: one of its lines cannot be read.
    """
    further = chain.from_iterable(task.also_test.values())
    own = (example.text for example in chain(task.dev, task.test, further))
    texts = chain(own, read_evaluation_texts(config.denoise.decontaminate))
    if task.questions is None:
        return EvaluationTexts(texts)
    held = list(texts)
    return EvaluationTexts(held, near=NearTexts(config.denoise, held))
