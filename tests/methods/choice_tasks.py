"""Small tasks of questions with options, and a run of the scripted engine without Ray."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from msp.config import RunConfig
from msp.judging import evaluation_texts, make_scorer
from msp.methods import Opening, RoundPlan, find_method, make_plan, open_rounds
from msp.methods.balance import Cell
from msp.methods.rounds import CellCount, MadeUnit
from msp.records import Candidate, Unit
from msp.storage.store import open_store
from msp.tasks import load_task

FOLDERS = {
    "csqa": "mcqa_5/csqa",
    "strategyqa": "yesno_close/strategyqa",
    "boolq": "yesno_open/boolq",
}


def write_sets(folder: Path) -> Path:
    """Write three small sets as they are published, and return the folder of all."""
    for name, place in FOLDERS.items():
        (folder / place).mkdir(parents=True)
        for split, num in (("train", 12), ("dev", 4), ("test", 8)):
            rows = [_row(name, f"{split} {k}", k) for k in range(num)]
            text = "".join(f"{json.dumps(row)}\n" for row in rows)
            (folder / place / f"{split}.jsonl").write_text(text)
    return folder


def _row(name: str, words: str, number: int) -> dict[str, Any]:
    options = [f"{words} {k}" for k in range(5)] if name == "csqa" else ["True", "False"]
    return {
        "question": f"Is {words} the {'best' if number % 2 else 'worst'} of all {number * 7}?",
        "context": f"All {words} are alike." if name == "boolq" else None,
        "options": options,
        "label": options[number % 5] if name == "csqa" else number % 2 == 1,
    }


def run_config(folder: Path, name: str, output_uri: str = "x", **created: Any) -> RunConfig:
    """Return the config of a run that grows; settings of other sections stand in their own."""
    generate = created.pop("generate", {})
    return RunConfig.model_validate(
        {
            "output_uri": output_uri,
            "task": {"name": name, "path": str(folder)},
            "generate": {
                "method": "data_creation",
                "engine": "scripted",
                "num_synthetic": 60,
                "balance": "uniform",
                "num_candidates_per_unit": 2,
                "max_new_tokens": 400,
                "data_creation": created,
                **generate,
            },
            "denoise": {"num_kept_per_unit": 4},
        }
    )


class Rounds:
    """What a run makes, round by round, in this process; duplicates of a run are not looked for."""

    def __init__(self, config: RunConfig) -> None:
        self.config, self.task = config, load_task(config.task, seed=config.seed)
        opening = Opening(config, self.task, open_store(config.output_uri))
        self._writer = find_method(config).open_writer(opening)
        self._scorer = make_scorer(config, self.task, evaluation_texts(config, self.task))
        self.planned = open_rounds(config, self.task)
        self.plans: list[RoundPlan] = []
        self.units: list[Unit] = []
        self.kept: dict[int, Candidate] = {}
        self.census: dict[Cell, CellCount] = {}

    def grow(self) -> Rounds:
        """Go on to the end."""
        plan: RoundPlan | None = self.planned.first()
        while plan is not None:
            self.plans.append(plan)
            self.planned.take(plan, self._made(plan))
            plan = self.planned.next(self.census, before=plan)
        return self

    def _made(self, plan: RoundPlan) -> list[MadeUnit]:
        found = make_plan(self.config, self.task, RoundPlan.from_json(plan.to_json()))
        units = [found.unit(i) for i in range(found.num_units)]
        self.units += units
        made = []
        for i, (unit, judged) in enumerate(
            zip(units, self._scorer.judge(units, self._writer.write(units)), strict=True)
        ):
            kept = [candidate for candidate in judged if candidate.kept]
            self.kept |= {candidate.candidate_id: candidate for candidate in kept}
            reasons = Counter(c.reason for c in judged if c.reason)
            count = CellCount(1, len(judged), len(kept), reasons)
            self.census.setdefault(unit.constraint.attributes, CellCount()).add(count)
            accepted = tuple((c.candidate_id, c.text, c.target) for c in kept)
            made.append(MadeUnit(i, accepted))
        return made
