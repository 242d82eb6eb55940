"""report.html: one file that opens offline and shows what a run asked, made, dropped and gained.

Everything in it that came from data or from an LM is hostile: the template
escapes it, the script sets it as text, and a content security policy lets
no script run but our own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from msp.metrics.collect import RunSummary, summarise_run
from msp.report import curve, scores, sections, wording
from msp.report.inputs import ReportInputs
from msp.report.table import table_json
from msp.storage.store import ObjectStore

DEFAULT_SEED = 13
TASK_KEYS = ("name", "domain", "setting", "num_dev", "num_test")
GENERATE_KEYS = ("num_tokens", "tokens_per_second", "wall_seconds")


def build_report(
    store: ObjectStore, inputs: ReportInputs, *, summary: RunSummary | None = None
) -> bytes:
    """Return report.html for whatever the run has so far; what is not there yet is said.

    Args:
        store: the run's store; read only where no summary is given.
        inputs: metrics, run and task.
        summary: of a pass over the candidates that was already made.

    Raises:
        StorageError: an object under ``candidates/`` is damaged.
    """
    if summary is None:
        summary = summarise_run(store, inputs.seeds, seed=inputs.setting("seed") or DEFAULT_SEED)
    view = {
        **_view(inputs, summary),
        "output_uri": wording.redact(inputs.setting("output_uri") or store.uri),
        **inlined("style", ("msp.report", "palette.css"), ("msp.report", "report.css")),
        **inlined("script", ("msp.report", "shown_text.js"), ("msp.report", "report.js")),
    }
    return rendered(template_environment(), "report.html.j2", view)


def rendered(environment: Environment, template: str, view: Mapping[str, Any]) -> bytes:
    """Return a template with the values of a view, in UTF-8."""
    # A lone surrogate can come from JSON data and has no UTF-8 form.
    return environment.get_template(template).render(**view).encode("utf-8", "replace")


def inlined(name: str, *parts: tuple[str, str]) -> dict[str, str]:
    """Return what a page has inside it, as a view names it: the text, and its hash.

    Args:
        name: ``style`` or ``script``; the hash is ``style_hash`` or ``script_hash``.
        parts: package and file of each, in order.
    """
    text = "".join((files(package) / file).read_text("utf-8") for package, file in parts)
    return {name: Markup(text), f"{name}_hash": _policy_hash(text)}


def template_environment(package: str = "msp.report") -> Environment:
    """Return the templates of a package, with escaping on for all of them."""
    environment = Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("count", "decimal", "signed", "duration", "show_invisible"):
        environment.filters[name] = getattr(wording, name)
    environment.globals["percent"] = wording.percent
    return environment


def _view(inputs: ReportInputs, summary: RunSummary) -> dict[str, Any]:
    student = inputs.metric("student")
    tone, sentence = scores.verdict(student)
    balance = sections.balance_rows(inputs, summary)
    bins = sections.noise_bins(summary)
    cut = inputs.setting("denoise", "max_noise_score")
    words = {attribute.name: attribute.words for attribute in inputs.ontology.all}
    return {
        "summary": summary,
        "task": {key: inputs.metric("task", key) for key in TASK_KEYS},
        "notes": _notes(inputs),
        "num_seeds": len(inputs.seeds),
        "tone": tone,
        "verdict": sentence,
        "headline": scores.compare_headline(student),
        "others": scores.compare_others(student),
        "per_attribute": scores.compare_attributes(student),
        "growth": scores.growth(student),
        "rival": scores.rival(student),
        "student_seeds": inputs.metric("student", "seeds"),
        "words": words,
        "balance": balance,
        "imbalance": sections.imbalance(balance),
        "relabel": sections.relabel(inputs.metric("generate", "relabel")),
        "quota": sections.quota(inputs.metric("generate", "quota")),
        "num_unused": len(words) - sum(row.name in words for row in balance),
        "drops": sections.drop_rows(summary),
        "bins": bins,
        "cut": cut,
        "cut_at": sections.noise_cut(bins, cut),
        "panels": curve.curve_panels(inputs.metric("tune", "curve")),
        "x_percent": curve.x_percent,
        "best_epoch": wording.number(inputs.metric("tune", "best_epoch")),
        "diversity": sections.diversity_rows(inputs.metric("diversity")),
        "quality": sections.quality_rows(inputs.metric("quality")),
        "quality_notes": _texts(inputs.metric("quality", "notes")),
        "matched_size": inputs.metric("diversity", "synthetic", "matched_size"),
        "stages": _stages(inputs),
        "generators": sections.generator_rows(inputs.metric("profile", "generators")),
        "generate": {key: inputs.metric("generate", key) for key in GENERATE_KEYS},
        "setting": lambda *keys: wording.redact(inputs.setting(*keys)),
        "config_yaml": _config_yaml(inputs),
        "versions": inputs.run.get("versions") or {},
        "table": Markup(table_json(summary, inputs.seeds, inputs.ontology)),
    }


def _texts(found: object) -> list[str]:
    return [str(text) for text in found] if isinstance(found, list) else []


def _notes(inputs: ReportInputs) -> list[str]:
    recorded = inputs.metric("task", "notes")
    recorded = recorded if isinstance(recorded, list) else []
    return [str(note) for note in dict.fromkeys([*inputs.task_notes, *recorded])]


def _stages(inputs: ReportInputs) -> list[tuple[str, float]]:
    profile = inputs.metric("profile")
    if not isinstance(profile, dict):
        return []
    return [
        (wording.STAGES.get(stage, str(stage)), seconds)
        for stage, value in profile.items()
        if (seconds := wording.number(value)) is not None
    ]


def _config_yaml(inputs: ReportInputs) -> str:
    config = wording.redact(inputs.run.get("config"))
    if not config:
        return ""
    return str(yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=88))


def _policy_hash(text: str) -> str:
    """Return what a content security policy calls an inline style or script by."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
