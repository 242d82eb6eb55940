"""Is a small LM better than the one before: held-out loss, control and variety, side by side.

`python -m msp.models.evaluate builtin OTHER` compares two models on the sample
task, which no pre-training has seen; `--input` adds held-out loss by source.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from msp.cli import guarded
from msp.config import GenerateConfig, ModelConfig, TaskConfig
from msp.denoise.rules import UnitTexts, has_missing_value, normalise_value
from msp.engines import make_engine
from msp.engines.base import Request
from msp.metrics.distinct import distinct_n
from msp.models.encoder import SentenceEncoder, load_encoder
from msp.models.frozen_lm import load_frozen_lm
from msp.models.held_out import held_out_documents, held_out_losses
from msp.prompts.exemplars import choose_exemplars
from msp.prompts.text import constraint_of, render_context
from msp.records import Constraint, Example
from msp.tasks import load_task
from msp.tasks.base import TaskData

_NUM_EXEMPLARS = 2
_EXEMPLAR_POOL = 10
_CANDIDATES = 4
_UNITS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Control:
    """How far raw candidates carry what was asked; shares are of all candidates.

    Args:
        num_candidates: how many texts were generated.
        values_occurring: share of the requested slot values that occur in the text.
        attributes_carried: share of the requested labels that the classifier finds in the text.
        attributes_in_real_text: the same for the real texts that the requests are taken from.
        distinct_2: different word pairs over all word pairs of the candidates.
        distinct_2_of_real_text: the same for the real texts; fewer texts, so it is higher.
    """

    num_candidates: int
    values_occurring: float | None
    attributes_carried: float | None
    attributes_in_real_text: float | None
    distinct_2: float | None
    distinct_2_of_real_text: float | None


class AttributeClassifier:
    """Which labels a text carries, learned from real texts: MiniLM and a logistic regression each.

    Args:
        examples: real ones that no request is taken from.
        encoder: the body.
    """

    def __init__(self, examples: Sequence[Example], encoder: SentenceEncoder) -> None:
        from sklearn.linear_model import LogisticRegression

        self._encoder = encoder
        embedded = encoder.encode([example.text for example in examples])
        self._models: dict[str, Any] = {}
        for name in sorted({name for example in examples for name in example.attributes}):
            present = np.array([name in example.attributes for example in examples])
            if 2 <= present.sum() < len(present):
                model = LogisticRegression(C=30.0, class_weight="balanced", max_iter=1000)
                self._models[name] = model.fit(embedded, present)

    def share_carried(self, texts: Sequence[str], asked: Sequence[Sequence[str]]) -> float | None:
        """Share of the asked labels that the texts carry; None where it knows none of them."""
        embedded = self._encoder.encode(texts)
        found = {name: model.predict(embedded) for name, model in self._models.items()}
        hits = [
            bool(found[name][i]) for i, names in enumerate(asked) for name in names if name in found
        ]
        return _share(hits)


def measure_control(
    model: str, task: TaskData, classifier: AttributeClassifier, *, num_requests: int, seed: int
) -> tuple[Control, list[dict[str, Any]]]:
    """Ask the model, by text alone, for what real examples carry.

    Args:
        model: `builtin`, a folder or a hub id.
        task: its seed examples are the requests and the exemplars.
        classifier: trained on other examples of the task.
        num_requests: the first so many seed examples that a draw by `seed` gives.
        seed: of the draw and of the sampling.

    Returns:
        the figures, and the first samples in the order of the draw, none picked by hand.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(task.seeds))[:num_requests]
    asked = [task.seeds[int(place)] for place in order]
    constraints = [constraint_of(example) for example in asked]
    requests = [
        Request(i, _context(constraint, example, task, rng), None, _CANDIDATES, seed + 1000 * i)
        for i, (constraint, example) in enumerate(zip(constraints, asked, strict=True))
    ]
    engine = make_engine("hf", load_frozen_lm(ModelConfig(name=model)))
    sampling = GenerateConfig(batch_size=_UNITS_AT_ONCE)
    written: list[tuple[Constraint, str]] = []
    for start in range(0, len(requests), _UNITS_AT_ONCE):
        generated = engine.generate(requests[start : start + _UNITS_AT_ONCE], sampling)
        for constraint, texts in zip(constraints[start:], generated, strict=False):
            written += [(constraint, text.text) for text in texts]
    samples = [
        {"attributes": list(c.attributes), "values": dict(c.values), "text": text}
        for c, text in written[::_CANDIDATES]
    ]
    return _figures(written, asked, classifier), samples


def compare(
    models: Sequence[str],
    task: TaskConfig,
    *,
    inputs: Sequence[Path] = (),
    num_requests: int = 200,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Figures of each model on the same requests and the same held-out text.

    Returns:
        model -> `control`, `held_out_loss` (empty without inputs) and `samples`.

    Raises:
        UserError: a model, the task or an input cannot be read.
    """
    loaded = load_task(task, seed=seed)
    classifier = AttributeClassifier([*loaded.dev, *loaded.test], load_encoder("minilm"))
    documents = held_out_documents(inputs, seed=seed) if inputs else {}
    found: dict[str, dict[str, Any]] = {}
    for model in models:
        control, samples = measure_control(
            model, loaded, classifier, num_requests=num_requests, seed=seed
        )
        lm = load_frozen_lm(ModelConfig(name=model, dtype="float32"))
        losses = held_out_losses(lm, documents)
        found[model] = {
            "control": asdict(control),
            "held_out_loss": losses,
            "samples": samples[:12],
        }
    return found


def _context(
    constraint: Constraint, example: Example, task: TaskData, rng: np.random.Generator
) -> str:
    exemplars = choose_exemplars(
        example, task.seeds, num=_NUM_EXEMPLARS, pool_size=_EXEMPLAR_POOL, rng=rng
    )
    return render_context(constraint, exemplars, task.ontology, attributes_in_text=True)


def _figures(
    written: Sequence[tuple[Constraint, str]],
    asked: Sequence[Example],
    classifier: AttributeClassifier,
) -> Control:
    texts = [text for _, text in written]
    values = [
        not has_missing_value(text, UnitTexts((), (), [normalise_value(value)]))
        for constraint, text in written
        for found in constraint.values.values()
        for value in found
    ]
    real = [example.text for example in asked]
    return Control(
        num_candidates=len(texts),
        values_occurring=_share(values),
        attributes_carried=classifier.share_carried(texts, [c.attributes for c, _ in written]),
        attributes_in_real_text=classifier.share_carried(real, [e.attributes for e in asked]),
        distinct_2=distinct_n(texts, 2),
        distinct_2_of_real_text=distinct_n(real, 2),
    )


def _share(hits: Sequence[bool]) -> float | None:
    return round(sum(hits) / len(hits), 4) if hits else None


def _table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures with one column a model, for people."""
    rows: dict[str, list[str]] = {}
    for figures in found.values():
        for name, value in figures["control"].items():
            rows.setdefault(name, []).append("-" if value is None else f"{value:g}")
        for name, loss in figures["held_out_loss"].items():
            shown = f"{loss['nats_per_token']:.3f} ({loss['bits_per_byte']:.3f} bits/byte)"
            rows.setdefault(f"held-out loss, {name}", []).append(shown)
    lines = [["", *found], *([name, *cells] for name, cells in rows.items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _evaluate(
    models: Annotated[list[str], typer.Argument(help="builtin, folders or hub ids")],
    input_: Annotated[
        list[Path] | None, typer.Option("--input", help="text of the pre-training; repeatable")
    ] = None,
    task_path: Annotated[str, typer.Option(help="task data")] = "sample:front_desk",
    domain: Annotated[str | None, typer.Option(help="of an NLU++ folder")] = None,
    num_requests: Annotated[int, typer.Option(min=1)] = 200,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Compare models: control and variety of raw candidates, held-out loss by source."""
    if domain is None:
        task = TaskConfig(name="jsonl", path=task_path)
    else:
        task = TaskConfig(name="nlupp", path=task_path, domain=domain, setting="fold20")
    found = compare(models, task, inputs=input_ or (), num_requests=num_requests, seed=seed)
    print(_table(found), file=sys.stderr)
    print(json.dumps(found))


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(_evaluate)
    sys.exit(guarded(app))
