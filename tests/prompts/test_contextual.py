"""Contextual prompts: as large as their equation says, and all that learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msp.config import PromptsConfig, RunConfig
from msp.errors import CheckpointError, ConfigError
from msp.models.frozen_lm import FrozenLM
from msp.prompts.checkpoint import describe_prompts, load_prompts, save_prompts
from msp.prompts.contextual import FORMS, ContextualSizes, find_form
from msp.prompts.encode import ExampleEncoder
from msp.prompts.initialisers import initial_prompts
from msp.prompts.objective import TuningObjective, collate
from msp.prompts.vectors import example_vectors
from msp.records import Example
from msp.storage.store import open_store
from msp.tasks.base import TaskData

SIZES = st.builds(ContextualSizes, *[st.integers(1, 6)] * 5)
PROMPTS = PromptsConfig(
    source="example", contextual_length=6, contextual_width=8, instruction_length=4
)


def prompts(form: str, source: str = "example") -> PromptsConfig:
    return PROMPTS.model_copy(update={"contextual_form": form, "source": source})


@pytest.mark.parametrize("form", FORMS)
@given(sizes=SIZES)
def test_a_form_has_as_many_parameters_as_its_equation_says(
    form: str, sizes: ContextualSizes
) -> None:
    start = torch.zeros(sizes.num_bases, sizes.length, sizes.hidden_size)
    made = find_form(form)(sizes, start)
    assert sum(p.numel() for p in made.parameters()) == made.num_parameters(sizes)
    assert made(torch.ones(3, sizes.vector_size)).shape == (3, sizes.length, sizes.hidden_size)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_in_bfloat16_takes_embeddings_as_they_come(form: str) -> None:
    sizes = ContextualSizes(vector_size=4, length=2, hidden_size=3, num_bases=2, width=5)
    made = find_form(form)(sizes, torch.zeros(2, 2, 3)).bfloat16()
    assert made(torch.ones(3, 4)).dtype == torch.bfloat16


def test_only_nsp_writes_the_same_prompt_for_every_example_once_tuned() -> None:
    sizes = ContextualSizes(vector_size=4, length=2, hidden_size=3, num_bases=2, width=5)
    vectors = torch.nn.functional.normalize(torch.randn(2, 4), dim=1)
    for form in FORMS:
        torch.manual_seed(0)
        made = find_form(form)(sizes, torch.randn(2, 2, 3))
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter)
        first, second = made(vectors)
        assert torch.equal(first, second) == (form == "nsp")


@pytest.mark.parametrize("source", ["example", "both"])
@pytest.mark.parametrize("form", FORMS)
def test_every_parameter_learns_and_nothing_of_the_lm_does(
    llama: FrozenLM, task: TaskData, form: str, source: str
) -> None:
    objective, _, rows = tuning(llama, task, prompts(form, source))
    optimiser = torch.optim.SGD(objective.soft.parameters(), lr=1e-3)
    for _ in range(2):  # what starts at zero hides, for one step, what stands behind it
        objective.soft.zero_grad()
        step(objective, llama, task, rows)
        optimiser.step()
    learned = {n: p.grad is not None and bool(p.grad.any()) for n, p in named(objective)}
    assert learned and all(learned.values())
    assert all(p.grad is None for p in llama.model.parameters())


@pytest.mark.parametrize("form", ["mixture", "mlp"])
def test_a_held_out_text_near_a_learned_one_becomes_likelier(
    llama: FrozenLM, task: TaskData, form: str
) -> None:
    objective, _, rows = tuning(llama, task, prompts(form))
    held_out = Example("held", "how could i check out", (), {}, "front_desk")
    encoder = ExampleEncoder(llama.files, prompts(form), task.ontology)
    rows_out = encoder.encode([held_out], epoch=0)
    vectors = example_vectors(prompts(form), [held_out])

    def loss() -> float:
        with torch.no_grad():
            return float(objective(collate(rows_out, 5, 0, vectors)))

    before = loss()
    optimiser = torch.optim.Adam(objective.soft.parameters(), 0.01)
    for _ in range(30):
        optimiser.zero_grad()
        step(objective, llama, task, rows)
        optimiser.step()
    assert loss() < 0.9 * before


def test_a_prompt_that_an_example_alone_drives_starts_as_a_list_of_examples(
    llama: FrozenLM, task: TaskData
) -> None:
    config = prompts("mixture").model_copy(update={"contextual_length": 120})
    soft = initial_prompts(llama, task.ontology, config, seed=1, examples=task.seeds)
    assert soft.contextual is not None
    bases = soft.contextual.get_parameter("bases").detach()
    rows = torch.cdist(bases, llama.embedding.weight.float()[None]).argmin(dim=-1).tolist()
    texts = [llama.tokenizer.decode(base).replace(" ", "") for base in rows]
    assert texts[0] != texts[1]
    for text in texts:
        assert "Utterancesinthefrontdeskdomain:" in text and text.endswith(")")
        assert sum(seed.text.replace(" ", "") in text for seed in task.seeds) >= 2
    drawn = initial_prompts(llama, task.ontology, config, seed=1)
    noise = config.model_copy(update={"init": "vocabulary"})
    same = initial_prompts(llama, task.ontology, noise, seed=1, examples=task.seeds)
    assert drawn.contextual is not None and same.contextual is not None
    assert torch.equal(
        drawn.contextual.get_parameter("bases"), same.contextual.get_parameter("bases")
    )


def test_an_example_alone_needs_no_label_and_no_text(llama: FrozenLM, task: TaskData) -> None:
    encoder = ExampleEncoder(llama.files, prompts("mlp"), task.ontology, task.seeds)
    rows = encoder.encode(task.seeds, epoch=1)
    assert len(rows) == len(task.seeds)
    assert {(len(row.context), row.soft_length) for row in rows} == {(0, 6)}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("source", ["example", "both"])
def test_contextual_prompts_come_back_bit_by_bit(
    tmp_path: Path, llama: FrozenLM, task: TaskData, form: str, source: str
) -> None:
    method = "softsrv" if source == "example" else "msp"
    config = RunConfig.model_validate(
        {
            "output_uri": str(tmp_path),
            "task": {"name": "jsonl", "path": "unused"},
            "prompts": prompts(form, source).model_dump(),
            "generate": {"method": method},
        }
    )
    soft = initial_prompts(llama, task.ontology, config.prompts, seed=4)
    store = open_store(str(tmp_path))
    save_prompts(store, soft, describe_prompts(config, llama.files, task.ontology, {}))
    loaded = load_prompts(store, llama)
    assert {n: t.tolist() for n, t in loaded.state_dict().items()} == {
        n: t.tolist() for n, t in soft.state_dict().items()
    }


def test_an_unknown_form_and_an_encoder_that_is_not_there_are_named(
    llama: FrozenLM, task: TaskData
) -> None:
    with pytest.raises(ConfigError, match="did you mean 'mlp'"):
        find_form("mpl")
    config = PROMPTS.model_copy(update={"contextual_encoder": "./nowhere"})
    with pytest.raises(CheckpointError, match="nowhere"):
        initial_prompts(llama, task.ontology, config, seed=0)


@pytest.mark.parametrize(
    ("method", "source"), [("msp", "example"), ("softsrv", "both"), ("softsrv", "attributes")]
)
def test_softsrv_and_a_prompt_from_the_example_alone_go_together(method: str, source: str) -> None:
    tree = {
        "output_uri": "x",
        "task": {"name": "jsonl", "path": "sample:front_desk"},
        "generate": {"method": method},
        "prompts": {"source": source},
    }
    with pytest.raises(ValueError, match=r"generate\.method is .*prompts\.source"):
        RunConfig.model_validate(tree)


def tuning(lm: FrozenLM, task: TaskData, config: PromptsConfig):  # type: ignore[no-untyped-def]
    """Return the objective, the encoder and the encoded seed examples of a tuning."""
    soft = initial_prompts(lm, task.ontology, config, seed=1)
    encoder = ExampleEncoder(lm.files, config, task.ontology, task.seeds, 1)
    return TuningObjective(lm, soft), encoder, encoder.encode(task.seeds, epoch=1)


def named(objective: TuningObjective) -> list[tuple[str, torch.nn.Parameter]]:
    return list(objective.soft.named_parameters())


def step(objective: TuningObjective, lm: FrozenLM, task: TaskData, rows: object) -> None:
    vectors = example_vectors(PROMPTS, task.seeds)
    num_attributes = len(task.ontology.all)
    batch = collate(rows, num_attributes, int(lm.tokenizer.pad_token_id), vectors)  # type: ignore[arg-type]
    objective(batch).backward()
