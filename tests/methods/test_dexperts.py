"""dexperts: each expert learns from its own attribute's texts, and steers by the formula."""

from __future__ import annotations

from pathlib import Path

import pytest

from msp.distributed.fit_worker import Fitter, fit_and_save
from msp.methods import Opening, find_method, make_plan
from msp.methods.dexperts import Lesson, open_experts_fit, steering
from msp.methods.lm_writers import frozen_lm, naming_labels
from msp.methods.writing import UnitWriter
from msp.records import Constraint
from msp.storage.local import LocalStore


def test_weights_of_one_and_of_several_attributes_sum_to_alpha(small_task) -> None:
    one = steering(Constraint(("bill",), {}, "general"), small_task.ontology, 2.0)
    assert one == ((2, 2.0), (3, -2.0))
    two = steering(Constraint(("room", "spa"), {}, "general"), small_task.ontology, 2.0)
    assert two == ((0, 1.0), (1, -1.0), (4, 1.0), (5, -1.0))


def test_an_example_teaches_its_experts_and_as_many_anti_experts(
    tiny_llama_path, small_task, make_run, tmp_path
) -> None:
    config = make_run(tiny_llama_path, method="dexperts")
    fit = open_experts_fit(Opening(config, small_task, LocalStore(tmp_path)))
    carried = {e.uid: set(map(small_task.ontology.index, e.attributes)) for e in small_task.seeds}
    drawn = []
    for epoch in (1, 2):
        lessons = fit.examples(epoch)
        for lesson in lessons:
            attribute, is_anti = divmod(lesson.adapter, 2)
            assert (attribute not in carried[lesson.example.uid]) == bool(is_anti)
        experts = [x for x in lessons if not x.adapter % 2]
        assert len(experts) == sum(map(len, carried.values()))
        drawn.append([(x.example.uid, x.adapter) for x in lessons])
    assert drawn[0] != drawn[1]
    assert [(x.example.uid, x.adapter) for x in fit.examples(1)] == drawn[0]


@pytest.mark.parametrize("path", ["tiny_llama_path", "tiny_t5_path"])
def test_an_expert_finds_its_own_texts_likelier_than_its_anti_expert_does(
    path, small_task, make_run, tmp_path, request
) -> None:
    tune = {"num_epochs": 10, "fit_learning_rate": 0.01}
    config = make_run(request.getfixturevalue(path), method="dexperts", tune=tune)
    fit = open_experts_fit(Opening(config, small_task, LocalStore(tmp_path)))
    Fitter(fit, config.tune, LocalStore(tmp_path), seed=1).run()
    for name in ("spa", "bill", "room"):
        a = small_task.ontology.index(name)
        own = [x for x in fit.examples(1) if x.adapter == 2 * a]
        found = [
            float(fit.loss([Lesson(adapter, x.example) for x in own], share_done=1.0)[0].detach())
            for adapter in (2 * a, 2 * a + 1)
        ]
        assert found[0] < found[1]


def test_it_writes_every_unit_and_with_alpha_nought_as_the_lm_alone(
    tiny_llama_path, small_task, make_run
) -> None:
    units = [make_plan(make_run(tiny_llama_path), small_task).unit(i) for i in range(3)]
    written = {}
    for alpha in (2.0, 0.0):
        config = make_run(tiny_llama_path, method="dexperts", dexperts_alpha=alpha)
        opening = Opening(config, small_task, LocalStore(Path(config.output_uri)))
        if alpha:
            fit_and_save(config, small_task, opening.store)
        written[alpha] = find_method(config).open_writer(opening).write(units)
    config = make_run(tiny_llama_path)
    opening = Opening(config, small_task, LocalStore(Path(config.output_uri)))
    alone = UnitWriter(naming_labels(config), small_task.ontology, lm=frozen_lm(opening))
    assert written[0.0] == alone.write(units) != written[2.0]
    assert [len(texts) for texts in written[2.0]] == [5, 5, 5]
