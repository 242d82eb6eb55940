"""Ablations: one method with one thing taken away or turned, each as overrides of a run config.

The table is what a reader of a comparison asks first, so every line of it says
what is different, and nothing else is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from msp.config import PromptsConfig, RunConfig


@dataclass(frozen=True, slots=True)
class Like:
    """The value that another setting of the same config has."""

    key: str

    def value_in(self, config: RunConfig) -> Any:
        """Return that value."""
        section, _, name = self.key.partition(".")
        return getattr(getattr(config, section), name)


AblationSet = Literal[
    "no_filter",
    "no_over_generation",
    "no_exemplars",
    "no_descriptions",
    "no_label_texts",
    "no_unseen_attributes",
    "mixtures",
    "temperature",
    "noise_weights",
]
Overrides = dict[str, Any]

_MIXTURES = get_args(PromptsConfig.model_fields["mixture"].annotation)
_WEIGHTS = ("denoise.frequency_weight", "denoise.distance_weight", "denoise.disagreement_weight")


def _weights(*values: float) -> Overrides:
    return dict(zip(_WEIGHTS, values, strict=True))


# set -> arm -> overrides. What is empty, a copy, a test text or a repetition in its unit goes even
# without a filter: it is no new example.
ABLATIONS: dict[AblationSet, dict[str, Overrides]] = {
    "no_filter": {
        "no-filter": {
            "denoise.max_noise_score": 1e9,
            "denoise.max_surprise": None,
            "denoise.require_values": False,
            "denoise.duplicates": "none",
            "denoise.duplicate_cosine": None,
            "denoise.num_kept_per_unit": Like("generate.num_candidates_per_unit"),
        }
    },
    "no_over_generation": {
        "no-over-generation": {
            "generate.num_candidates_per_unit": Like("denoise.num_kept_per_unit"),
        }
    },
    "no_exemplars": {"no-exemplars": {"prompts.num_exemplars": 0}},
    "no_descriptions": {"no-descriptions": {"prompts.init": "vocabulary"}},
    "no_label_texts": {
        "no-label-texts": {"denoise.label_text_weight": 0.0, "student.label_text_weight": 0.0}
    },
    "no_unseen_attributes": {"no-unseen-attributes": {"generate.unseen_attributes": False}},
    "mixtures": {f"mixture-{name}": {"prompts.mixture": name} for name in _MIXTURES},
    "temperature": {
        f"temperature-{value:g}": {"generate.temperature": value} for value in (0.3, 0.9, 1.2, 1.6)
    },
    "noise_weights": {
        "noise-frequency": _weights(1.0, 0.0, 0.0),
        "noise-distance": _weights(0.0, 1.0, 0.0),
        "noise-disagreement": _weights(0.0, 0.0, 1.0),
        "noise-as-msp": _weights(0.5, 0.5, 0.0),
    },
}

SENTENCES: dict[AblationSet, str] = {
    "no_filter": "every candidate is kept, but for copies and repetitions in its unit",
    "no_over_generation": "as many candidates as are kept, and the same filter",
    "no_exemplars": "no seed example is shown to the frozen LM",
    "no_descriptions": "attribute prompts start from random vocabulary rows, not from descriptions",
    "no_label_texts": "neither the judge nor the student learns labels' own words",
    "no_unseen_attributes": "nothing is asked for that no seed example carries",
    "mixtures": "attribute prompts are mixed otherwise",
    "temperature": "the frozen LM writes colder or hotter",
    "noise_weights": "the noise score is made of frequency, distance or disagreement alone, "
    "or as MSP's own",
}
