"""Settings that one method reads, or a few; the others refuse them, since they would do nothing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Share = Annotated[float, Field(gt=0.0, le=1.0)]

# Setting -> the methods that read it.
_READ_BY: dict[str, tuple[str, ...]] = {
    "eda_alpha": ("eda",),
    "thesaurus": ("eda",),
    "helper_model": ("paraphrase", "fill_in", "round_trip"),
    "helper_model_back": ("round_trip",),
    "helper_prompt": ("paraphrase",),
    "mask_share": ("fill_in",),
    "num_shots": ("in_context",),
    "in_context_style": ("in_context",),
    "dexperts_alpha": ("dexperts",),
    "clm_weights": ("clm", "fine_tune"),
    "lora_rank": ("clm", "dexperts", "fine_tune"),
    "embeddings": ("softsrv", "msp"),
    "embedding_noise": ("softsrv", "msp"),
}
# Method -> the settings that it does not work without, each with what to take.
_NEEDED: dict[str, dict[str, str]] = {
    "paraphrase": {
        "helper_model": "a seq2seq or causal paraphraser, such as "
        "humarin/chatgpt_paraphraser_on_T5_base with generate.helper_prompt 'paraphrase: {text}'"
    },
    "fill_in": {"helper_model": "a masked LM, such as roberta-base, or a T5, such as t5-base"},
    "round_trip": {
        "helper_model": "a translator, such as Helsinki-NLP/opus-mt-en-de",
        "helper_model_back": "its way back, such as Helsinki-NLP/opus-mt-de-en",
    },
}
# These write with something else than the frozen LM.
WITHOUT_LM = ("eda", "paraphrase", "fill_in", "round_trip")


class MethodSettings(BaseModel):
    """The part of section ``generate`` that belongs to single methods."""

    eda_alpha: Share = Field(0.1, description="eda: share of the words that one text changes")
    thesaurus: str | None = Field(
        None,
        description="eda: a folder of WordNet's database files (Debian's wordnet-base: "
        "/usr/share/wordnet); none: the nearest words in the embeddings of denoise.encoder",
    )
    helper_model: str | None = Field(
        None,
        description="paraphrase: a seq2seq or causal paraphraser; fill_in: a masked LM or a T5; "
        "round_trip: a translator; a local path or hub id with safetensors weights, read in "
        "model.dtype",
    )
    helper_model_back: str | None = Field(
        None, description="round_trip: the translator that comes back"
    )
    helper_prompt: str = Field(
        "{text}", description="paraphrase: what the helper reads, {text} in it"
    )
    mask_share: Share = Field(0.15, description="fill_in: share of the words that are masked")
    num_shots: Annotated[int, Field(gt=0)] = Field(8, description="in_context: exemplars shown")
    in_context_style: Literal["base", "chain_of_thought"] = Field(
        "base", description="in_context: the text at once, or after a line of reasoning"
    )
    dexperts_alpha: Annotated[float, Field(ge=0.0)] = Field(
        2.0, description="dexperts: how far experts and anti-experts steer the LM; 0: not at all"
    )
    clm_weights: Literal["all", "lora"] = Field(
        "lora", description="clm, fine_tune: what learns of the LM; all is kept, too, and as large"
    )
    lora_rank: Annotated[int, Field(gt=0)] = Field(
        8, description="of the adapters of clm, dexperts, fine_tune"
    )
    embeddings: Literal["training", "perturbed", "interpolated"] = Field(
        "interpolated",
        description="prompts.source example and both: what contextual prompts are computed from "
        "when writing, a seed example's embedding, that with noise, or a point between two that "
        "carry what is asked",
    )
    embedding_noise: Annotated[float, Field(gt=0.0)] = Field(
        0.3, description="perturbed: length of the noise beside an embedding of length 1"
    )


def check_method(settings: MethodSettings, *, method: str, engine: str) -> None:
    """Pass where the settings of single methods fit the method that is chosen.

    Args:
        settings: the section ``generate``.
        method: its ``method``.
        engine: its ``engine``; the scripted one stands in for every checkpoint.

    Raises:
        ValueError: one is set that the method does not read, one is missing that it needs, or
            the engine is one that it does not use.
    """
    for name, readers in _READ_BY.items():
        value = getattr(settings, name)
        if method not in readers and value != MethodSettings.model_fields[name].default:
            raise ValueError(
                f"generate.{name} is {value}, which method {method} does not know; leave it out "
                f"or set generate.method to {' or '.join(readers)}."
            )
    for name, example in _NEEDED.get(method, {}).items():
        if engine != "scripted" and getattr(settings, name) is None:
            raise ValueError(
                f"generate.method is {method}, but generate.{name} is not set; name {example} (a "
                "local folder or hub id with safetensors weights)."
            )
    if "{text}" not in settings.helper_prompt:
        raise ValueError(
            f"generate.helper_prompt is {settings.helper_prompt!r}, which has no place for the "
            "text; write {text} where it goes."
        )
    if engine == "vllm" and method in WITHOUT_LM:
        raise ValueError(
            f"generate.engine is vllm, which method {method} does not write with; leave it at hf."
        )
