"""cvae: learned from the seed examples alone, it writes candidates of its own streams."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from msp.distributed.fit_worker import fit_and_save
from msp.errors import CheckpointError
from msp.methods import Opening, find_method, make_plan
from msp.methods.cvae import Conditions, latents
from msp.methods.fit_store import read_fit_figures
from msp.records import Constraint
from msp.storage.local import LocalStore


@pytest.fixture
def opening(tiny_llama_path, small_task, make_run) -> Opening:
    tune = {"num_epochs": 40, "fit_learning_rate": 0.01}
    config = make_run(tiny_llama_path, method="cvae", temperature=0.5, tune=tune)
    return Opening(config, small_task, LocalStore(Path(config.output_uri)))


def test_it_writes_words_of_the_label_that_is_asked_for(opening) -> None:
    method = find_method(opening.config)
    with pytest.raises(CheckpointError, match="run msp tune first"):
        method.open_writer(opening)
    fit_and_save(opening.config, opening.task, opening.store)
    curve = read_fit_figures(opening.store)["curve"]
    assert curve[-1]["dev_loss"] < curve[0]["dev_loss"] / 2
    plan = make_plan(opening.config, opening.task)
    units = [u for u in map(plan.unit, range(18)) if len(u.constraint.attributes) == 1]
    writer = method.open_writer(opening)
    written = writer.write(units)
    hits = [
        unit.constraint.attributes[0] in text.text
        for unit, texts in zip(units, written, strict=True)
        for text in texts
    ]
    assert len(hits) == 5 * len(units) and sum(hits) > 0.6 * len(hits)
    alone = [writer.write([unit])[0] for unit in units]
    assert [[g.text for g in texts] for texts in alone] == [
        [g.text for g in texts] for texts in written
    ]


def test_conditions_hold_labels_and_domain(small_task) -> None:
    conditions = Conditions(small_task)
    asked = [Constraint(("spa", "room"), {}, "general"), Constraint(("bill",), {}, "elsewhere")]
    assert conditions.of(asked).tolist() == [[1, 0, 1, 1], [0, 1, 0, 0]]


def test_z_is_normal_and_belongs_to_its_stream() -> None:
    streams = torch.arange(2000)
    z = latents(streams)
    assert torch.equal(z[7:9], latents(streams[7:9]))
    assert abs(z.mean().item()) < 0.02 and abs(z.std().item() - 1) < 0.02
