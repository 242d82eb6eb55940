"""The config refuses what cannot work, with a message that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from msp.compare.config import load_compare_config
from msp.compare.grid import make_grid
from msp.config import fingerprint
from msp.config_file import load_config
from msp.errors import ConfigError
from msp.improve.config import load_improve_config

CONFIGS = sorted((Path(__file__).parents[1] / "ray_jobs" / "configs").rglob("*.yaml"))
MINIMAL = "output_uri: out\ntask: {name: jsonl, path: rows.jsonl}\n"


@pytest.fixture
def minimal(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(MINIMAL)
    return path


def test_defaults_fill_everything_but_the_required_keys(minimal: Path) -> None:
    config = load_config(minimal)
    assert config.generate.num_candidates_per_unit == 5
    assert config.denoise.num_kept_per_unit == 4


def test_an_unknown_key_is_refused_with_the_nearest_known_one(minimal: Path) -> None:
    with pytest.raises(ConfigError, match=r"generate\.temprature .*did you mean 'temperature'"):
        load_config(minimal, ["generate.temprature=1.0"])


def test_an_unknown_section_is_refused_with_the_nearest_known_one(minimal: Path) -> None:
    with pytest.raises(ConfigError, match="promts is not a known key; did you mean 'prompts'"):
        load_config(minimal, ["promts.mixture=concat"])


def test_a_value_outside_the_allowed_set_names_the_key(minimal: Path) -> None:
    with pytest.raises(ConfigError, match=r"prompts\.mixture is 'sum'"):
        load_config(minimal, ["prompts.mixture=sum"])


def test_a_missing_required_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("task: {name: jsonl}\n")
    with pytest.raises(ConfigError, match=r"output_uri is required[\s\S]*task\.path is required"):
        load_config(path)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("generate.num_candidates_per_unit=3", "over-generate at least as many"),
        ("cluster.min_generators=2", "pool grows from min to max"),
        ("tune.num_workers=3", "multiple of tune.num_workers"),
        ("task.name=nlupp", "task.domain is not set"),
        ("prompts.mixture=conct", "did you mean 'concat'"),
        ("task.setting=fold20", "jsonl does not know; it has: full, few_shot"),
        ("task.setting=few_shot", "needs a number of shots"),
        ("task.name=crossner", "task.domain is not set; crossner has the domains"),
        ("task.metrics=[paper_compatible]", "leaves out standard"),
        ("generate.top_p=0", r"generate\.top_p is 0"),
        ("generate.eda_alpha=0.3", "method msp does not know; .* set generate.method to eda"),
        ("generate.method=paraphrase", "helper_model is not set; name a seq2seq or causal"),
        ("generate.method=fill_in", "helper_model is not set; name .* roberta-base, or a T5"),
        ("generate={method: round_trip, helper_model: x}", "helper_model_back is not set"),
        ("generate={method: eda, engine: vllm}", "method eda does not write with"),
        (
            "generate={method: paraphrase, engine: scripted, helper_prompt: again}",
            "no place for the text",
        ),
        ("generate.method=data_creation", "num_synthetic is not set; say how many"),
        ("generate.data_creation.strategy=naive", "method msp does not know; leave it out"),
        ("task.also_test=[csqa]", "jsonl is no set of questions with options"),
        ("seed=[1", "the value is not YAML"),
        ("seed", "write section.key=value"),
        ("seed.x.y=1", "seed is"),
    ],
)
def test_a_broken_rule_is_explained(minimal: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(minimal, [override, *(["seed=1"] if "seed.x" not in override else [])])


def test_selection_by_a_score_that_is_not_measured_is_refused(minimal: Path) -> None:
    with pytest.raises(ConfigError, match="select by dev_loss"):
        load_config(minimal, ["tune.select_by=dev_bleu", "tune.max_dev_generations=0"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("denoise.distance_weight=0.5", "make them sum to 1"),
        ("generate.units_per_seed_example=0", "plans nothing"),
    ],
)
def test_a_plan_or_a_score_made_of_nothing_is_refused(
    minimal: Path, override: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(minimal, [override, "generate.novel_units_per_seed_example=0"])


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "\x00"])
def test_what_is_no_yaml_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"run\.yaml"):
        load_config(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")


def test_only_what_defines_a_run_changes_its_fingerprint(minimal: Path) -> None:
    base = fingerprint(load_config(minimal), content={})
    elsewhere = load_config(minimal, ["output_uri=other", "cluster.max_generators=9"])
    assert fingerprint(elsewhere, content={}) == base
    hotter = fingerprint(load_config(minimal, ["generate.temperature=1.3"]), content={})
    assert {key for key in base if base[key] != hotter[key]} == {"generate.temperature"}


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_every_config_that_ships_loads(path: Path) -> None:
    if path.stem.startswith("compare"):
        assert make_grid(load_compare_config(path)).cells
    elif path.stem.startswith("improve"):
        assert load_improve_config(path).units_per_round
    elif path.name != "pretrain.yaml":
        assert load_config(path).output_uri
