"""Engine ``vllm`` on a CPU, beside engine ``hf``: same greedy texts, same distribution."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from msp.config import GenerateConfig, ModelConfig, RunConfig
from msp.engines.base import Request
from msp.engines.hf import HFEngine
from msp.errors import ConfigError, EngineDiedError, GenerationError
from msp.models.frozen_lm import FrozenLM, load_frozen_lm

pytestmark = [
    pytest.mark.vllm,
    # vLLM and what it imports warn while they are imported.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::SyntaxWarning"),
]

# float32, because bfloat16 rounds two likely tokens to one number, and then either may win.
MODEL = ModelConfig(name="builtin", dtype="float32")
GREEDY = GenerateConfig(temperature=1e-3, max_new_tokens=24)
SAMPLED = GenerateConfig(temperature=1.0, top_p=0.9, top_k=200, max_new_tokens=16)
CONTEXTS = (
    "Utterances in the hotels domain:\n1) check out [after 6 pm]: can i leave after 6 pm\n"
    "2) change; booking [tomorrow]:",
    "Utterances in the hotels domain:\n1) wifi: the wifi is slow\n2) room; problem:",
    "",
    "Utterances in the banking domain:\n1) card; lost:",
)


def run_config(model: ModelConfig = MODEL) -> RunConfig:
    return RunConfig.model_validate(
        {
            "output_uri": "unused",
            "task": {"name": "jsonl", "path": "sample:front_desk"},
            "model": model.model_dump(),
            "generate": {"engine": "vllm", "value_bonus": 3.0},
        }
    )


@pytest.fixture(scope="module")
def builtin() -> FrozenLM:
    return load_frozen_lm(MODEL, device="cpu")


@pytest.fixture(scope="module")
def open_vllm() -> Callable[[], object]:
    def open_engine() -> object:
        from msp.engines.vllm import VLLMEngine

        return VLLMEngine(run_config())

    return open_engine


@pytest.fixture(scope="module")
def vllm(open_vllm) -> Iterator[object]:
    yield open_vllm()


def request(lm: FrozenLM, unit_id: int, *, soft: int = 40, num_candidates: int = 2) -> Request:
    """A unit whose soft prompt is that of another up to position 32, as real ones are."""
    context = CONTEXTS[unit_id % len(CONTEXTS)]
    maker = torch.Generator().manual_seed(0)
    table = lm.embedding.weight
    shared = torch.randint(10, 4000, (32,), generator=maker)
    own = torch.randint(10, 4000, (soft,), generator=maker.manual_seed(unit_id))
    noise = torch.randn(soft, lm.hidden_size, generator=maker) * table.std()
    prompt = table[torch.cat([shared, own])[:soft]] + 0.1 * noise if soft else None
    return Request(unit_id, context, prompt, num_candidates, unit_id << 16)


def test_greedy_texts_are_those_of_engine_hf(builtin, vllm):
    requests = [request(builtin, i, soft=soft) for i, soft in enumerate((40, 32, 48, 0, 33, 7))]
    expected = HFEngine(builtin).generate(requests, GREEDY)
    found = vllm.generate(requests, GREEDY)
    for ours, theirs in zip(found, expected, strict=True):
        assert [(g.text, g.num_tokens) for g in ours] == [(g.text, g.num_tokens) for g in theirs]
        assert [g.logprob for g in ours] == pytest.approx([g.logprob for g in theirs], abs=1e-2)
    assert len({unit[0].text for unit in found}) > 1


def test_asked_values_get_the_bonus_that_engine_hf_gives_them(builtin, vllm):
    asked = replace(request(builtin, 1), values=("Saint Olga's day", "room 4417"))
    sampling = GREEDY.model_copy(update={"value_bonus": 8.0})
    expected, other = HFEngine(builtin).generate([asked, request(builtin, 0)], sampling)
    found = vllm.generate([asked, request(builtin, 0)], sampling)
    assert [g.text for g in found[0]] == [g.text for g in expected]
    assert [g.text for g in found[1]] == [g.text for g in other]
    assert all(value in found[0][0].text for value in asked.values)


def test_sampled_words_are_as_frequent_as_those_of_engine_hf(builtin, vllm):
    first = request(builtin, 0, num_candidates=1500)
    other_streams = Request(0, first.context, first.soft, 1500, 1 << 40)
    hf = HFEngine(builtin)
    expected, again = (words(hf.generate([r], SAMPLED)[0]) for r in (first, other_streams))
    found = words(vllm.generate([first], SAMPLED)[0])
    by_chance = distance(expected, again)
    assert distance(expected, found) < 1.25 * by_chance
    warmer = SAMPLED.model_copy(update={"temperature": 1.2})
    assert distance(expected, words(vllm.generate([first], warmer)[0])) > 1.25 * by_chance


def words(texts) -> Counter[str]:
    return Counter(word for generated in texts for word in generated.text.split())


def distance(a: Counter[str], b: Counter[str]) -> float:
    """Half the summed differences of the shares: 0 for equal, 1 for disjoint."""
    return sum(abs(a[w] / a.total() - b[w] / b.total()) for w in {*a, *b}) / 2


def test_sampled_log_probabilities_are_those_of_the_lm_without_temperature_and_cuts(builtin, vllm):
    asked = request(builtin, 1, num_candidates=1500)
    colder = SAMPLED.model_copy(update={"temperature": 0.7})
    means = [
        sum(g.logprob for g in texts) / sum(g.num_tokens for g in texts)
        for texts in (
            vllm.generate([asked], colder)[0],
            HFEngine(builtin).generate([asked], colder)[0],
        )
    ]
    assert means[0] == pytest.approx(means[1], rel=0.05)


def test_a_call_that_finds_the_engine_idle_is_repeatable(builtin, vllm):
    requests = [request(builtin, i, num_candidates=4) for i in range(3)]
    first, again = vllm.generate(requests, SAMPLED), vllm.generate(requests, SAMPLED)
    texts = [[g.text for g in unit] for unit in first]
    assert texts == [[g.text for g in unit] for unit in again]
    assert all(len(set(unit)) > 1 for unit in texts)


def test_several_threads_share_the_engine_and_each_gets_its_own_texts(builtin, vllm):
    requests = [request(builtin, i) for i in range(8)]
    alone = vllm.generate(requests, GREEDY)
    found: dict[int, object] = {}

    def ask(i: int) -> None:
        found[i] = vllm.generate([requests[i]], GREEDY)[0]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [[g.text for g in found[i]] for i in range(8)] == [[g.text for g in u] for u in alone]


def test_a_unit_without_candidates_and_an_empty_call_cost_nothing(builtin, vllm):
    assert vllm.generate([], SAMPLED) == []
    assert vllm.generate([request(builtin, 0, num_candidates=0)], SAMPLED) == [[]]


def test_a_prompt_that_is_too_long_is_refused_and_the_engine_lives(builtin, vllm):
    long = Request(7, "late check out " * 200, None, 1, 0)
    with pytest.raises(GenerationError, match=r"unit 7 has 0 soft .* has 512 positions"):
        vllm.generate([long], SAMPLED)
    assert vllm.generate([request(builtin, 0)], GREEDY)[0][0].text


def test_an_engine_that_died_says_so_to_all_who_wait_and_who_come_later(builtin, open_vllm):
    engine = open_vllm()
    broken = Request(0, "1)", torch.zeros(32, builtin.hidden_size + 1), 1, 0)
    for asked in (broken, request(builtin, 1)):
        with pytest.raises(EngineDiedError, match="Running the same command again"):
            engine.generate([asked], SAMPLED)


def test_an_encoder_decoder_is_refused(tiny_t5_path):
    from msp.engines.vllm import VLLMEngine

    config = run_config(ModelConfig(name=str(tiny_t5_path)))
    with pytest.raises(ConfigError, match=r"takes decoder-only LMs, but .* is encoder-decoder"):
        VLLMEngine(config)
