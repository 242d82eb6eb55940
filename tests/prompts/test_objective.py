"""The loss is the target's alone, the soft prompts alone learn, and padding changes nothing."""

from __future__ import annotations

import copy
import dataclasses
import hashlib

import pytest
import torch

from msp.config import PromptsConfig
from msp.errors import ConfigError, TaskDataError
from msp.models.attention import use_fast_attention
from msp.models.frozen_lm import FrozenLM
from msp.models.recompute import recompute_activations
from msp.prompts.encode import EncodedExample, ExampleEncoder
from msp.prompts.initialisers import initial_prompts
from msp.prompts.objective import TuningObjective, collate
from msp.records import Example
from msp.tasks.base import TaskData

PROMPTS = PromptsConfig(instruction_length=6, attribute_length=4)


@pytest.fixture(params=["llama", "t5"])
def lm(request: pytest.FixtureRequest) -> FrozenLM:
    found: FrozenLM = request.getfixturevalue(request.param)
    return found


def encoder(lm: FrozenLM, task: TaskData, **changes: object) -> ExampleEncoder:
    prompts = PROMPTS.model_copy(update=changes)
    return ExampleEncoder(lm.files, prompts, task.ontology, task.seeds, 1)


def objective(
    lm: FrozenLM, task: TaskData, mixture: str = "concat", *, shares: bool = True
) -> TuningObjective:
    config = PROMPTS.model_copy(update={"mixture": mixture})
    soft = initial_prompts(lm, task.ontology, config, seed=1)
    return TuningObjective(lm, soft, shares_instruction=shares)


def gradients(module: TuningObjective, lm: FrozenLM, rows: list[EncodedExample]) -> list[object]:
    loss_of(module, lm, rows).backward()
    return [parameter.grad for parameter in module.soft.parameters()]


def loss_of(module: TuningObjective, lm: FrozenLM, rows: list[EncodedExample]) -> torch.Tensor:
    loss: torch.Tensor = module(collate(rows, 5, int(lm.tokenizer.pad_token_id)))
    return loss


@pytest.mark.parametrize("mixture", ["concat", "pooling"])
def test_a_batch_has_the_loss_of_its_examples_alone(
    lm: FrozenLM, task: TaskData, mixture: str
) -> None:
    module = objective(lm, task, mixture)
    rows = encoder(lm, task, mixture=mixture).encode(task.seeds, epoch=1)
    together = loss_of(module, lm, rows)
    alone = sum(loss_of(module, lm, [row]) for row in rows)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-3)


def test_the_causal_loss_is_what_the_lm_itself_says_of_the_target(
    llama: FrozenLM, task: TaskData
) -> None:
    module = objective(llama, task)
    row = encoder(llama, task).encode(task.seeds[:1], epoch=1)[0]
    present = torch.zeros(1, 5, dtype=torch.bool)
    present[0, list(row.present)] = True
    text = llama.embedding(torch.tensor([row.context + row.target]))
    inputs = torch.cat([module.soft(present).embeddings, text], dim=1)
    logits = llama.model(inputs_embeds=inputs).logits[0, -len(row.target) - 1 : -1]
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(row.target), reduction="sum")
    torch.testing.assert_close(loss_of(module, llama, [row]), expected, rtol=1e-4, atol=1e-4)


def test_the_output_layer_scores_targets_alone(lm: FrozenLM, task: TaskData) -> None:
    rows = encoder(lm, task).encode(task.seeds, epoch=1)
    seen: list[int] = []
    hook = lm.model.get_output_embeddings().register_forward_hook(
        lambda module, inputs, output: seen.append(output.shape[:-1].numel())
    )
    loss_of(objective(lm, task), lm, rows)
    hook.remove()
    assert seen == [sum(len(row.target) for row in rows)]


def test_computing_activations_again_changes_no_gradient(lm: FrozenLM, task: TaskData) -> None:
    rows = encoder(lm, task).encode(task.seeds, epoch=1)
    again = dataclasses.replace(lm, model=copy.deepcopy(lm.model))
    recompute_activations(again.model, name="tiny")
    found = [gradients(objective(one, task, shares=False), one, rows) for one in (lm, again)]
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("mixture", ["concat", "attention"])
def test_computing_the_instruction_once_for_all_rows_changes_no_gradient(
    llama: FrozenLM, task: TaskData, mixture: str
) -> None:
    rows = encoder(llama, task, mixture=mixture).encode(task.seeds, epoch=1)
    widths: list[int] = []
    hook = llama.model.base_model.layers[0].register_forward_hook(
        lambda layer, inputs, output: widths.append(inputs[0].shape[:2].numel())
    )
    alone, shared = (
        gradients(objective(llama, task, mixture, shares=shares), llama, rows)
        for shares in (False, True)
    )
    hook.remove()
    torch.testing.assert_close(alone, shared)
    length = PROMPTS.instruction_length
    assert widths[0] == sum(widths[1:]) + (len(rows) - 1) * length


def test_attention_step_by_step_gives_the_gradient_of_the_fused_kernel(
    llama: FrozenLM, task: TaskData
) -> None:
    rows = encoder(llama, task).encode(task.seeds, epoch=1)
    half = dataclasses.replace(llama, model=copy.deepcopy(llama.model).to(torch.bfloat16))
    fused = gradients(objective(half, task), half, rows)
    use_fast_attention(half.model, dtype=half.model.dtype)
    assert half.model.config._attn_implementation == "eager"
    torch.testing.assert_close(
        fused, gradients(objective(half, task), half, rows), rtol=0.1, atol=0.1
    )


def test_activation_checkpointing_keeps_less_for_the_backward_pass(
    lm: FrozenLM, task: TaskData
) -> None:
    rows = encoder(lm, task).encode(task.seeds, epoch=1)
    again = dataclasses.replace(lm, model=copy.deepcopy(lm.model))
    recompute_activations(again.model, name="tiny")
    assert bytes_kept(again, task, rows) < 0.7 * bytes_kept(lm, task, rows)


def test_layers_that_can_not_be_computed_again_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"activation_checkpointing is on, .* model odd"):
        recompute_activations(torch.nn.Linear(2, 2), name="odd")


def test_learning_changes_the_prompts_and_not_one_bit_of_the_lm(
    lm: FrozenLM, task: TaskData
) -> None:
    module = objective(lm, task)
    rows = encoder(lm, task).encode(task.seeds, epoch=1)
    before, first = fingerprint(lm), float(loss_of(module, lm, rows).detach())
    adam = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=0.05)
    for _ in range(5):
        adam.zero_grad()
        loss_of(module, lm, rows).backward()
        adam.step()
    assert float(loss_of(module, lm, rows).detach()) < first
    assert fingerprint(lm) == before and all(p.grad is None for p in lm.model.parameters())


def test_gradients_are_exactly_zero_for_attributes_that_no_example_has(
    lm: FrozenLM, task: TaskData
) -> None:
    module = objective(lm, task)
    rows = encoder(lm, task).encode(task.seeds[1:2], epoch=1)
    loss_of(module, lm, rows).backward()
    reached = module.soft.attributes.grad.abs().flatten(1).amax(dim=1) > 0
    assert reached.nonzero()[:, 0].tolist() == list(rows[0].present) == [0, 3]


def test_training_mode_leaves_the_lm_without_dropout(t5: FrozenLM, task: TaskData) -> None:
    module = objective(t5, task).train()
    rows = encoder(t5, task).encode(task.seeds, epoch=1)
    assert torch.equal(loss_of(module, t5, rows), loss_of(module, t5, rows))
    assert not any(part.training for part in t5.model.modules())


def test_examples_without_attribute_and_value_are_left_out(lm: FrozenLM, task: TaskData) -> None:
    rows = encoder(lm, task).encode(task.seeds, epoch=1)
    assert [row.uid for row in rows] == ["e0", "e1", "e2", "e3", "e4", "e6", "e7"]


def test_exemplars_change_with_the_epoch_and_not_with_the_process(
    lm: FrozenLM, task: TaskData
) -> None:
    one, again = (encoder(lm, task).encode(task.seeds, epoch=1) for _ in range(2))
    later = [encoder(lm, task).encode(task.seeds, epoch=epoch) for epoch in (2, 3)]
    assert one == again and one not in later


def test_a_long_context_loses_its_farthest_exemplars_and_never_its_target(
    llama: FrozenLM, task: TaskData
) -> None:
    long = [Example(f"x{i}", f"{i} " + "again " * 33, ("how",), {}, "front_desk") for i in range(4)]
    full = ExampleEncoder(llama.files, PROMPTS, task.ontology, long, 1)
    row = full.encode(long[:1], epoch=1)[0]
    context = llama.tokenizer.decode(row.context)
    assert row.length <= 512 and context.count("again") == 33
    assert context.startswith("Utterances in the front desk domain:\n1) how: ")
    assert llama.tokenizer.decode(row.target) == f" {long[0].text.strip()}\n"


def test_what_can_not_fit_names_the_example_and_the_setting(lm: FrozenLM, task: TaskData) -> None:
    long = Example("fold0.json:7", "go " * 200, ("how",), {}, "front_desk")
    with pytest.raises(TaskDataError, match=r"fold0\.json:7.*512 positions"):
        encoder(lm, task).encode([long], epoch=1)
    with pytest.raises(ConfigError, match=r"example e0 takes 606 .*attribute_length 200 for each"):
        encoder(lm, task, attribute_length=200).encode(task.seeds, epoch=1)


def bytes_kept(lm: FrozenLM, task: TaskData, rows: list[EncodedExample]) -> int:
    """Return what a loss holds on to until its backward pass."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss_of(objective(lm, task, shares=False), lm, rows)
    return sum(kept.values())


def fingerprint(lm: FrozenLM) -> str:
    digest = hashlib.sha256()
    for name, tensor in lm.model.state_dict().items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()
