"""The dataset card that lies beside the synthetic examples, as ``synthetic/README.md``.

It opens with the YAML that dataset tools read. Strings from data and from an LM
are hostile here as in the report: names are escaped for Markdown, and texts
stand only as JSON in which nothing can end the block around it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from msp import __version__
from msp.config_task import WRITTEN_TASKS
from msp.metrics.collect import RunSummary
from msp.records import SYNTHETIC_SCHEMA
from msp.report import wording
from msp.report.build import template_environment
from msp.report.inputs import ReportInputs
from msp.report.sections import balance_rows, drop_rows
from msp.report.table import safe_json

NUM_EXAMPLES = 5
MAX_EXAMPLE_LENGTH = 300
TASK_CATEGORIES = ("text-classification", "token-classification")
QUESTION_CATEGORIES = ("multiple-choice", "question-answering")
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))

COLUMNS = {
    "id": "the unit: one constraint with its candidates",
    "round": "0 for the first plan; later rounds fill what was short",
    "method": "how the candidates were made",
    "seed_uid": "the seed example that the constraint was taken from",
    "domain": "the ontology's domain",
    "attributes": "the labels of the text",
    "values": "slot -> the strings of the text that fill it",
    "mix": "of PromptMix: the second class that the text was asked to be of, and the first's share",
    "growth": "of data_creation: the candidate that formatted the request (null: the first "
    "example), how far from the first one, and in which chain",
    "asked": "the labels that the text was asked to carry",
    "candidate_id": "unique in the run",
    "text": "the synthetic example",
    "target": "its labels in one line; in brackets over their words where the task tags or parses; "
    "of a question its context, options and answer",
    "kept": "always true here",
    "reason": "always null here: why a candidate was dropped",
    "noise_score": "distance from what was asked; higher is worse",
    "similarity": "cosine to the seed example",
    "attribute_overlap": "mean share of the seed examples that carry each of its labels",
    "num_tokens": "generated tokens",
    "logprob": "sum of the tokens' log-probabilities under the frozen LM",
    "relabelled": "the class that the frozen LM gave the text afterwards; null where not asked",
    "replaced": "whether that class stands in attributes, in place of the one asked for",
}

_MARKDOWN = re.compile(r"([\\`*_\[\]<>#!|~&$:@])")


def write_card(inputs: ReportInputs, summary: RunSummary) -> str:
    """Return the dataset card for the synthetic examples of one run.

    Args:
        inputs: metrics, run and task; what is missing is left out.
        summary: of a pass over the run's candidates.
    """
    environment = template_environment()
    # Markdown is no HTML; the filter below escapes for it, and for the HTML that it may hold.
    environment.autoescape = False
    environment.filters["markdown"] = escape_markdown
    asks = inputs.setting("generate", "method") == "data_creation"
    return environment.get_template("card.md.j2").render(
        front_matter=_front_matter(
            summary.num_kept, QUESTION_CATEGORIES if asks else TASK_CATEGORIES
        ),
        version=__version__,
        summary=summary,
        num_seeds=len(inputs.seeds),
        domain=inputs.metric("task", "domain") or "",
        written_tasks=WRITTEN_TASKS,
        setting=lambda *keys: wording.redact(inputs.setting(*keys)),
        settings=_code_lines(inputs.setting("denoise")),
        balance=balance_rows(inputs, summary),
        drops=drop_rows(summary),
        columns=[(name, COLUMNS[name]) for name in SYNTHETIC_SCHEMA.names],
        examples=_examples(summary),
    )


def escape_markdown(text: object) -> str:
    """Return the text in one line, with every mark that Markdown or HTML reads escaped."""
    line = " ".join(wording.show_invisible(text).split())
    return _MARKDOWN.sub(r"\\\1", line).replace("\\<", "&lt;").replace("\\>", "&gt;")


def _front_matter(num_kept: int, categories: Sequence[str]) -> str:
    size = next((words for limit, words in SIZES if num_kept < limit), "n>1M")
    fields = {
        "pretty_name": "Synthetic examples made by MSP",
        "license": "other",
        "license_name": "as-the-seed-data-and-the-model",
        "tags": ["synthetic", "msp"],
        "task_categories": list(categories),
        "size_categories": [size],
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": "*.parquet"}]}
        ],
    }
    return str(yaml.safe_dump(fields, sort_keys=False))


def _code_lines(settings: Any) -> list[str]:
    if not isinstance(settings, Mapping):
        return []
    return [_inert(f"{name}: {json.dumps(value)}") for name, value in settings.items()]


def _examples(summary: RunSummary) -> list[str]:
    """Return a few kept candidates from all over the run, each as a line of inert JSON."""
    kept = [row for row in summary.sample if row.kept and len(row.text) <= MAX_EXAMPLE_LENGTH]
    chosen = kept[:: max(1, len(kept) // NUM_EXAMPLES)][:NUM_EXAMPLES]
    return [
        _inert(
            safe_json(
                {
                    "text": row.text,
                    "attributes": row.attributes,
                    "values": {slot: list(texts) for slot, texts in row.values.items()},
                }
            )
        )
        for row in chosen
    ]


def _inert(line: str) -> str:
    """Return a line for a fenced block, which no run of backticks or tildes can close."""
    return line.replace("`", "\\u0060").replace("~", "\\u007e").replace("\n", " ")
