"""The figures behind each picture of the report, as plain rows that the template draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msp.metrics.collect import RunSummary
from msp.metrics.tally import NOISE_EDGES
from msp.report.inputs import ReportInputs
from msp.report.wording import count, duration, number, percent, reason_words

MAX_BINS = 40


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """How often one attribute occurs among the seed examples, and with the kept candidates.

    Args:
        name: as it stands in the data.
        words: as a person would write it.
        description: the ontology's sentence.
        is_slot: true for a slot.
        before: seed examples that carry it.
        after: seed and synthetic examples that carry it.
        before_share: of all seed examples, in percent.
        after_share: of all seed and synthetic examples, in percent.
    """

    name: str
    words: str
    description: str
    is_slot: bool
    before: int
    after: int
    before_share: float
    after_share: float


def balance_rows(inputs: ReportInputs, summary: RunSummary) -> list[BalanceRow]:
    """Return the attributes that occur, the most frequent among the seed examples first."""
    seeds, kept = summary.seeds_per_attribute, summary.kept_per_attribute
    known = {attribute.name: attribute for attribute in inputs.ontology.all}
    num_before, num_after = len(inputs.seeds), len(inputs.seeds) + summary.num_kept
    rows = []
    for name in [*known, *sorted({*seeds, *kept} - {*known})]:
        before = seeds.get(name, 0)
        after = before + kept.get(name, 0)
        if not after:
            continue
        attribute = known.get(name)
        rows.append(
            BalanceRow(
                name=name,
                words=attribute.words if attribute else name,
                description=attribute.description if attribute else "",
                is_slot=bool(attribute and attribute.is_slot),
                before=before,
                after=after,
                before_share=100 * before / num_before if num_before else 0.0,
                after_share=100 * after / num_after,
            )
        )
    return sorted(rows, key=lambda row: (-row.before, -row.after, row.name))


def imbalance(rows: Sequence[BalanceRow]) -> tuple[float, float] | None:
    """Return how often the most frequent label occurs per rarest one, before and after.

    Labels only, as slots follow from them; labels without a seed example are left out.
    """
    labels = [row for row in rows if not row.is_slot and row.before]
    if len(labels) < 2:
        return None
    before, after = [row.before for row in labels], [row.after for row in labels]
    return max(before) / min(before), max(after) / min(after)


def quota(found: object) -> dict[str, Any] | None:
    """Return what exactly N came to, each attribute's numbers; None where none was asked for."""
    if not isinstance(found, Mapping) or not isinstance(found.get("attributes"), Mapping):
        return None
    totals = ("num_synthetic", "num_delivered", "num_rounds")
    if any(number(found.get(key)) is None for key in totals):
        return None
    rows = {
        name: row
        for name, row in found["attributes"].items()
        if isinstance(row, Mapping)
        and all(number(row.get(key)) is not None for key in ("asked", "accepted", "delivered"))
    }
    return {**{key: found[key] for key in totals}, "attributes": rows}


def relabel(found: object) -> dict[str, Any] | None:
    """Return how often the LM agreed with what was asked, and its confusions; None without."""
    if not isinstance(found, Mapping) or not number(found.get("num_relabelled")):
        return None
    pairs = found.get("confusion")
    rows = [
        pair
        for pair in (pairs if isinstance(pairs, list) else [])
        if isinstance(pair, Mapping)
        and number(pair.get("num")) is not None
        and all(isinstance(pair.get(key), str) for key in ("asked", "given"))
    ]
    return {
        "num_relabelled": found["num_relabelled"],
        "num_agreed": number(found.get("num_agreed")) or 0,
        "confusion": rows,
    }


def drop_rows(summary: RunSummary) -> list[dict[str, Any]]:
    """Return each reason in words with its candidates, most frequent first."""
    rows = []
    for reason, num in summary.num_dropped_by_reason.items():
        title, sentence = reason_words(reason)
        rows.append({"reason": reason, "title": title, "sentence": sentence, "num": num})
    return rows


def noise_bins(summary: RunSummary) -> list[dict[str, float]]:
    """Return at most :data:`MAX_BINS` bins over the scores that occur: low, high, kept, dropped."""
    totals = [k + d for k, d in zip(summary.noise_kept, summary.noise_dropped, strict=True)]
    used = [index for index, total in enumerate(totals) if total]
    if not used:
        return []
    width = -(-(used[-1] + 1 - used[0]) // MAX_BINS)
    return [
        {
            "low": NOISE_EDGES[start],
            "high": NOISE_EDGES[min(start + width, len(totals))],
            "kept": sum(summary.noise_kept[start : start + width]),
            "dropped": sum(summary.noise_dropped[start : start + width]),
        }
        for start in range(used[0], used[-1] + 1, width)
    ]


def noise_cut(bins: Sequence[Mapping[str, float]], cut: object) -> float | None:
    """Return where the cut stands between the first and the last bin, in percent of the width."""
    known = number(cut)
    if known is None or not bins:
        return None
    low, high = bins[0]["low"], bins[-1]["high"]
    return 100 * (known - low) / (high - low) if low <= known <= high else None


QUALITY_ROWS = (
    (
        ("correctness", "attribute_f1"),
        "Asked attributes found",
        "F1 of a classifier trained on dev and test",
    ),
    (
        ("correctness", "attribute_f1_of_seeds"),
        "The same in the seed examples",
        "what real texts reach with that classifier",
    ),
    (("mauve",), "MAUVE", "closeness to the dev and test texts; 1 is indistinguishable"),
    (
        ("memorisation", "nearest_seed_similarity"),
        "Nearest seed example",
        "mean cosine to the most similar seed example",
    ),
    (
        ("memorisation", "copied_seed_share"),
        "Copied seed examples",
        "share of texts that equal one but for case and punctuation",
    ),
    (
        ("memorisation", "evaluation_overlap_share"),
        "Evaluation overlap",
        "share of texts that hold a dev or test text, or 13 words of one",
    ),
    (
        ("teacher", "accuracy"),
        "Accuracy of the frozen LM itself",
        "in percent of the test examples, asked as candidates are when they are relabelled",
    ),
    (
        ("novel_agreement", "accepted_share"),
        "New combinations agreed on",
        "share of their judged texts (denoise.novel_agreement)",
    ),
    (
        ("novel_agreement", "precision"),
        "Rightly so, estimated",
        "share of those that carry what was asked, by real texts of held-out combinations",
    ),
    (("perplexity", "synthetic"), "Perplexity", "under the LM that the config names"),
    (("perplexity", "seed"), "Perplexity of the seed examples", "under the same LM"),
)


def quality_rows(quality: object) -> list[dict[str, Any]]:
    """Return each measured figure of the synthetic set with its words."""
    rows = []
    for keys, title, sentence in QUALITY_ROWS:
        value: Any = quality
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if (known := number(value)) is not None:
            digits = 1 if "f1" in keys[-1] or keys[0] in ("perplexity", "teacher") else 3
            rows.append({"title": title, "sentence": sentence, "value": known, "digits": digits})
    return rows


DIVERSITY_ROWS = (
    ("num_texts", "Texts", "how many there are", 0),
    ("mean_length", "Mean length", "words per text", 1),
    ("distinct_1", "Distinct words", "different words per word", 3),
    ("distinct_2", "Distinct pairs", "different word pairs per pair", 3),
    ("distinct_3", "Distinct triples", "different word triples per triple", 3),
    ("self_overlap", "Self-overlap", "word pairs shared by two texts with the same attributes", 3),
    ("num_duplicates", "Duplicates", "texts that equal an earlier one", 0),
)


def diversity_rows(diversity: object) -> list[dict[str, Any]]:
    """Return each diversity figure of the seed and the synthetic examples, and at equal size."""
    if not isinstance(diversity, Mapping):
        return []
    seed, synthetic = (diversity.get(key) or {} for key in ("seed", "synthetic"))
    return [
        {
            "title": title,
            "sentence": sentence,
            "digits": digits,
            "seed": seed.get(key),
            "synthetic": synthetic.get(key),
            "matched": synthetic.get(f"matched_{key}") if key.startswith("distinct") else None,
        }
        for key, title, sentence, digits in DIVERSITY_ROWS
        if number(seed.get(key)) is not None or number(synthetic.get(key)) is not None
    ]


GENERATOR_ROWS = (
    ("tokens_per_second", "Tokens a second, each generator at work"),
    ("busy_share", "Generators at work"),
    ("padding_share", "Padding among prompt positions"),
    ("prefix_cache_hit_rate", "Prompt positions found in the prefix cache"),
    ("judges_busy_seconds", "Judging, over all judges"),
)


def generator_rows(found: object) -> list[dict[str, str]]:
    """Return what generators and judges did with their time, as words; what was counted alone."""
    if not isinstance(found, Mapping):
        return []
    rows = []
    for key, title in GENERATOR_ROWS:
        value = number(found.get(key))
        if value is None:
            continue
        if key == "tokens_per_second":
            words = count(value)
        elif key == "judges_busy_seconds":
            words = duration(value)
        else:
            words = percent(value, 1)
        rows.append({"title": title, "value": words})
    return rows
