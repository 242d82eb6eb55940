"""The scripted engine: deterministic, and wrong as often as it says."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msp.config import GenerateConfig
from msp.denoise.rules import lexical_reasons, normalise
from msp.engines.base import Request
from msp.engines.scripted import ScriptedEngine, read_context
from msp.prompts.text import render_context
from msp.records import Attribute, Constraint, Example, Unit
from msp.tasks.ontology import Ontology

SAMPLING = GenerateConfig()
ONTOLOGY = Ontology(
    attributes=(Attribute("check_out", "Leave."), Attribute("how", "Ask how.")),
    slots=(Attribute("time", "When.", is_slot=True), Attribute("name", "Who.", is_slot=True)),
)
VALUES = {"time": ("after 6 pm",), "name": ("John",)}
OTHER = Example("other", "could i check out", ("check_out",))
SEED = Example("seed", "how does John check out after 6 pm", ("check_out", "how"), VALUES)
CONSTRAINT = Constraint(SEED.attributes, SEED.values, "hotels")


def render(*, attributes_in_text=True, exemplars=(OTHER, SEED)):
    return render_context(CONSTRAINT, exemplars, ONTOLOGY, attributes_in_text=attributes_in_text)


def write(context, *, unit_id=1, num_candidates=8, random_seed=5, max_new_tokens=64):
    request = Request(unit_id, context, None, num_candidates, random_seed)
    sampling = SAMPLING.model_copy(update={"max_new_tokens": max_new_tokens})
    return ScriptedEngine().generate([request], sampling)[0]


@pytest.mark.parametrize("attributes_in_text", [True, False])
def test_a_rendered_context_is_read_back(attributes_in_text):
    prompt = read_context(render(attributes_in_text=attributes_in_text))
    assert prompt.values == ("after 6 pm", "John")
    assert prompt.shown == (OTHER.text, SEED.text)
    assert prompt.subject == SEED.text


def test_without_exemplars_the_attributes_words_are_the_subject():
    assert read_context(render(exemplars=())).subject == "check out how"


def test_every_lexical_reason_occurs_in_its_share_and_most_texts_are_good():
    units = [
        Unit(i, 0, "msp", "seed", CONSTRAINT, (OTHER, SEED), 8, random_seed=i << 16)
        for i in range(500)
    ]
    reasons = Counter()
    for unit in units:
        texts = [g.text for g in write(render(), unit_id=unit.id, random_seed=unit.random_seed)]
        seeds = {normalise(SEED.text), normalise("a seed example that nobody copies")}
        reasons.update(lexical_reasons(unit, texts, seed_texts=seeds, require_values=True))
    share = {reason: count / 4000 for reason, count in reasons.items()}
    assert share.keys() == {
        None, "empty", "copy_of_exemplar", "copy_of_seed", "duplicate_in_unit", "missing_value",
    }  # fmt: skip
    assert share[None] > 0.75
    assert share["empty"] == pytest.approx(0.04, abs=0.015)
    assert share["missing_value"] == pytest.approx(0.04, abs=0.015)


@given(context=st.text(max_size=80), num=st.integers(0, 20), seed=st.integers(-(2**63), 2**63))
def test_any_context_gives_the_texts_asked_for_on_one_line(context, num, seed):
    written = write(context, num_candidates=num, random_seed=seed)
    assert len(written) == num
    for generated in written:
        assert generated.text == generated.text.strip() and "\n" not in generated.text
        assert generated.num_tokens == len(generated.text.split()) <= 64


def test_a_text_has_at_most_max_new_tokens_words():
    assert max(g.num_tokens for g in write(render(), max_new_tokens=3)) == 3


def test_a_candidate_depends_on_unit_and_stream_alone():
    many = write(render(), num_candidates=20, random_seed=40)
    assert many[7:] == write(render(), num_candidates=13, random_seed=47)
    assert many != write(render(), unit_id=2, num_candidates=20, random_seed=40)


def test_another_process_writes_the_same_and_needs_no_torch():
    script = (
        "import sys\n"
        "from msp.config import GenerateConfig\n"
        "from msp.engines import make_engine\n"
        "from msp.engines.base import Request\n"
        "requests = [Request(3, sys.argv[1], None, 40, 9)]\n"
        "print(make_engine('scripted', None).generate(requests, GenerateConfig()))\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, render()], capture_output=True, text=True, check=True
    )
    expected = [write(render(), unit_id=3, num_candidates=40, random_seed=9)]
    assert done.stdout.strip() == repr(expected)
