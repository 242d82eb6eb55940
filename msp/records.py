"""The records that travel from stage to stage, and their Arrow columns.

One type per thing, frozen, without torch, so that a reader of the store needs
nothing but this file to understand it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import combinations
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

Split = Literal["seed", "dev", "test"]

# Words in a row that are tried as a name that is written as one.
_MOST_WORDS = 4


@dataclass(frozen=True, slots=True)
class Attribute:
    """One label, or one slot, that the task knows.

    Args:
        name: as it stands in the data.
        description: a sentence that defines it; the name in words where none is given.
        is_slot: true where it carries values (a slot), false where it is a label.
    """

    name: str
    description: str
    is_slot: bool = False

    @property
    def words(self) -> str:
        """The name as a person would write it: ``check_in`` -> ``check in``.

        What TOPv2 puts before a name, ``IN:`` or ``SL:``, is not part of it. A name of several
        words in one (``musicgenre``) is taken apart where its description has them in a row.
        """
        name = self.name.removeprefix("IN:").removeprefix("SL:")
        words = " ".join(name.replace("_", " ").replace("-", " ").split()).lower()
        return words if " " in words else _apart(words, self.description)

    @property
    def is_described(self) -> bool:
        """Whether the description says more than the name."""
        return self.description.strip().lower() not in (self.name.lower(), self.words)


@lru_cache(maxsize=4096)
def _apart(name: str, description: str) -> str:
    words = re.findall(r"\w+", description.lower())
    for start, end in combinations(range(len(words) + 1), 2):
        if 1 < end - start <= _MOST_WORDS and "".join(words[start:end]) == name:
            return " ".join(words[start:end])
    return name


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled text: a seed example, a dev or test example, or a kept candidate.

    Args:
        uid: unique within the task and stable between runs (file and line, or fold and index).
        text: the utterance.
        attributes: label names, in the ontology's order.
        values: slot name -> the strings of the text that fill it, slots in the ontology's order.
        domain: the ontology's domain that the example belongs to.
        target: where the labels stand, as :mod:`msp.tasks.brackets` writes it, in tasks that tag
            or parse; context, options and answer, as :mod:`msp.tasks.questions` writes them, in
            tasks with options; None in the others.
    """

    uid: str
    text: str
    attributes: tuple[str, ...] = ()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    domain: str = "general"
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Constraint:
    """What one generation must carry: labels, slot values and a domain.

    ``target`` is the parse, in brackets, that the text has once its values stand in it.
    """

    attributes: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]
    domain: str
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Mix:
    """That a text should be of two classes at once (PromptMix, arXiv 2310.14192).

    Args:
        attribute: the second class; None where the text is asked to be of the first alone.
        alpha: share of the constraint's own class, 0.5 to 1; the second one has the rest.
        group: the classes that the context shows, the constraint's own last.
    """

    attribute: str | None
    alpha: float
    group: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Growth:
    """Where a unit stands in a set that grows from one example (LLM Data Creation, 2310.20111).

    Args:
        parent: the candidate that formats the unit's request; None for the first example.
        depth: of what the unit makes; 1 beside the first example.
        chain: which of the chains that grow beside one another; 0 in a tree.
    """

    parent: int | None
    depth: int
    chain: int = 0


@dataclass(frozen=True, slots=True)
class Unit:
    """One constraint with its exemplars and its candidates: the piece of work that is done once.

    Args:
        id: position in the plan; together with config and seeds it determines all the rest.
        round: 0 for the first plan; later rounds fill what is short.
        method: which method planned it.
        seed_uid: the seed example that the constraint was taken from.
        constraint: what every candidate must carry.
        exemplars: seed examples shown in the context, the nearest to the constraint last.
        num_candidates: how many candidates are generated.
        random_seed: start of the unit's random stream; candidate k uses stream ``random_seed + k``.
        mix: of methods that ask for a text between two classes; None elsewhere.
        growth: of a method whose accepted candidates format further units; None elsewhere.
    """

    id: int
    round: int
    method: str
    seed_uid: str
    constraint: Constraint
    exemplars: tuple[Example, ...]
    num_candidates: int
    random_seed: int
    mix: Mix | None = None
    growth: Growth | None = None


@dataclass(frozen=True, slots=True)
class Generated:
    """One raw text from an engine, before it is judged."""

    text: str
    num_tokens: int
    logprob: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A generated text with its verdict.

    Args:
        candidate_id: ``unit id * 2**16 + index in the unit``: unique in the run.
        text: the candidate.
        target: its linearised labels, as the task's student reads them.
        kept: the verdict.
        reason: why it was dropped; None where it was kept.
        noise_score: distance from what was asked, higher is worse; NaN where a lexical rule
            came first, and of questions with options, which have none.
        similarity: cosine to the unit's seed example; NaN likewise.
        attribute_overlap: mean share of the seed examples that carry each of its attributes.
        num_tokens: generated tokens.
        logprob: sum of the tokens' log-probabilities under the untempered LM.
        relabelled: the class that the frozen LM gave the text afterwards; None where it was
            not asked (denoise.relabel).
        replaced: whether that class is its label now, in place of the one it was asked for.
    """

    candidate_id: int
    text: str
    target: str
    kept: bool
    reason: str | None
    noise_score: float
    similarity: float
    attribute_overlap: float
    num_tokens: int
    logprob: float
    relabelled: str | None = None
    replaced: bool = False


CANDIDATES_PER_UNIT_LIMIT = 2**16

CANDIDATE_TYPE = pa.struct(
    [
        ("candidate_id", pa.int64()),
        ("text", pa.string()),
        ("target", pa.string()),
        ("kept", pa.bool_()),
        ("reason", pa.string()),
        ("noise_score", pa.float32()),
        ("similarity", pa.float32()),
        ("attribute_overlap", pa.float32()),
        ("num_tokens", pa.int32()),
        ("logprob", pa.float32()),
        ("relabelled", pa.string()),
        ("replaced", pa.bool_()),
    ]
)
_CANDIDATE_NAMES = tuple(f.name for f in CANDIDATE_TYPE)

UNIT_FIELDS = [
    ("id", pa.int64()),
    ("round", pa.int32()),
    ("method", pa.string()),
    ("seed_uid", pa.string()),
    ("domain", pa.string()),
    ("attributes", pa.list_(pa.string())),
    ("values", pa.map_(pa.string(), pa.list_(pa.string()))),
    ("mix", pa.struct([("attribute", pa.string()), ("alpha", pa.float32())])),
    (
        "growth",
        pa.struct([("parent", pa.int64()), ("depth", pa.int32()), ("chain", pa.int32())]),
    ),
]

CANDIDATES_SCHEMA = pa.schema([*UNIT_FIELDS, ("candidates", pa.list_(CANDIDATE_TYPE))])
# Readers of data sets know no map, so a published row lists its slots instead.
SLOTS_TYPE = pa.list_(pa.struct([("slot", pa.string()), ("texts", pa.list_(pa.string()))]))
SYNTHETIC_SCHEMA = pa.schema(
    [
        *[(name, SLOTS_TYPE if name == "values" else type_) for name, type_ in UNIT_FIELDS],
        # What was asked for; ``attributes`` are the labels that the text has in the end.
        ("asked", pa.list_(pa.string())),
        *[(f.name, f.type) for f in CANDIDATE_TYPE],
    ]
)


def unit_row(unit: Unit, candidates: list[Candidate]) -> dict[str, Any]:
    """Return the row of ``candidates/*.parquet`` for one judged unit."""
    return {
        "id": unit.id,
        "round": unit.round,
        "method": unit.method,
        "seed_uid": unit.seed_uid,
        "domain": unit.constraint.domain,
        "attributes": list(unit.constraint.attributes),
        "values": [(slot, list(texts)) for slot, texts in unit.constraint.values.items()],
        "mix": unit.mix and {"attribute": unit.mix.attribute, "alpha": unit.mix.alpha},
        "growth": unit.growth and asdict(unit.growth),
        "candidates": [{name: getattr(c, name) for name in _CANDIDATE_NAMES} for c in candidates],
    }


def synthetic_table(units: pa.Table, *, and_dropped_as: str | None = None) -> pa.Table:
    """Return the rows of ``synthetic/*.parquet`` for rows of ``candidates/*.parquet``, in order.

    Args:
        units: the rows.
        and_dropped_as: a reason; candidates that were dropped for it come, too.
    """
    units = as_of_today(units).combine_chunks()
    nested = _only_chunk(units["candidates"])
    flat, parents = nested.flatten(), pc.list_parent_indices(nested)
    kept = flat.field("kept")
    if and_dropped_as is not None:
        dropped = pc.equal(flat.field("reason"), and_dropped_as).fill_null(False)
        kept = pc.or_(kept, dropped)
    of = parents.filter(kept)
    columns = [
        (_slots(_only_chunk(units[name])) if name == "values" else units[name]).take(of)
        for name, _ in UNIT_FIELDS
    ]
    place = units.schema.get_field_index("attributes")
    asked = columns[place]
    columns[place] = _final_labels(asked, flat.filter(kept))
    columns += [asked]
    columns += [flat.field(f.name).filter(kept) for f in CANDIDATE_TYPE]
    return pa.table(columns, schema=SYNTHETIC_SCHEMA)


def _final_labels(asked: pa.ChunkedArray, kept: pa.StructArray) -> pa.ChunkedArray | pa.Array:
    """Return the labels that texts have in the end: asked for, or what replaced them."""
    replaced = kept.field("replaced").fill_null(False).to_pylist()
    if not any(replaced):
        return asked
    given = kept.field("relabelled").to_pylist()
    return pa.array(
        [
            [label] if is_new else before
            for before, label, is_new in zip(asked.to_pylist(), given, replaced, strict=True)
        ],
        pa.list_(pa.string()),
    )


def as_of_today(units: pa.Table) -> pa.Table:
    """Return rows of ``candidates/*.parquet`` with every column of today.

    What a file of an earlier version does not have is null.
    """
    if units.schema.equals(CANDIDATES_SCHEMA):
        return units
    nested = _only_chunk(units.combine_chunks()["candidates"])
    flat = nested.flatten()
    known = {field.name for field in flat.type}
    fields = [
        flat.field(f.name) if f.name in known else pa.nulls(len(flat), f.type)
        for f in CANDIDATE_TYPE
    ]
    # Flattening has left out what stood before the first list, so lengths tell the offsets.
    ends = pc.cumulative_sum(pc.list_value_length(nested))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends.cast(pa.int32())])
    candidates = pa.ListArray.from_arrays(
        offsets, pa.StructArray.from_arrays(fields, fields=list(CANDIDATE_TYPE))
    )
    columns = [
        units[name] if name in units.schema.names else pa.nulls(len(units), type_)
        for name, type_ in UNIT_FIELDS
    ]
    return pa.table([*columns, candidates], schema=CANDIDATES_SCHEMA)


def _slots(values: pa.MapArray) -> pa.ListArray:
    """Return maps slot -> texts as lists of slots with their texts."""
    entries = pa.StructArray.from_arrays(
        [values.keys, values.items], fields=list(SLOTS_TYPE.value_type)
    )
    return pa.ListArray.from_arrays(values.offsets, entries, type=SLOTS_TYPE)


def _only_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def example_from_synthetic(row: Mapping[str, Any]) -> Example:
    """Return the training example that a row of ``synthetic/*.parquet`` stands for."""
    return Example(
        uid=f"synthetic-{row['candidate_id']}",
        text=row["text"],
        attributes=tuple(row["attributes"]),
        values={entry["slot"]: tuple(entry["texts"]) for entry in row["values"]},
        domain=row["domain"],
        target=row["target"],
    )
