"""Keys of everything that a run keeps; other programs read these places, so they are a contract.

::

    run.json                                    resolved config, fingerprint, versions
    prompts/prompts.safetensors, prompts.json   the json is written last
    fit/model.safetensors, fit.json             what a method learned itself; the json is last
    candidates/round-000-shard-0000012.parquet  written once: the commit mark of its units
    duplicates/round-000-block-0000000.parquet  ids that go, each with the id that it repeats
    duplicates/round-000.json                   written last
    synthetic/round-000-shard-0000012.parquet   the kept ones; README.md; manifest.json, last
    student/seed_only/, student/augmented/      direct/ in its place where nothing is generated,
                                                label_texts/, synthetic/ where labels have words,
                                                before_relabel/ where labels were asked again
    metrics.json, report.html
    state/review/00...7-5f...a1-000003.json     a person's decision on a candidate, written once
    state/                                      what resume needs and readers do not
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from msp.errors import StorageError

# label_texts, synthetic: where augmented learns labels' own words, too (student.label_text_weight),
# the students of seed examples and these alone, and of seed and synthetic examples alone.
# before_relabel: of a run that asked for its candidates' labels again (denoise.relabel), the
# student of the labels that were asked for at first. direct: an LM that answers the task
# itself, where nothing is generated.
Arm = Literal["seed_only", "label_texts", "synthetic", "augmented", "before_relabel", "direct"]
ARMS: tuple[Arm, ...] = get_args(Arm)

RUN_JSON = "run.json"
PROMPTS_TENSORS = "prompts/prompts.safetensors"
PROMPTS_JSON = "prompts/prompts.json"
FIT_TENSORS = "fit/model.safetensors"
FIT_JSON = "fit/fit.json"
CANDIDATES_PREFIX = "candidates/"
DUPLICATES_PREFIX = "duplicates/"
SYNTHETIC_PREFIX = "synthetic/"
SYNTHETIC_README = "synthetic/README.md"
MANIFEST = "synthetic/manifest.json"
STUDENT_PREFIX = "student/"
METRICS_JSON = "metrics.json"
REPORT_HTML = "report.html"
STATE_PREFIX = "state/"
TUNE_STATE_PREFIX = "state/tune/"
HOLDER_JSON = "state/holder.json"
DAMAGED_PREFIX = "state/damaged/"
QUOTA_JSON = "state/quota.json"
SELECTION_JSON = "state/selection.json"
# What all candidates come to: counts and a sample; written before the manifest.
SUMMARY_JSON = "state/summary.json"
NODES_JSON = "state/nodes.json"
# What people said of candidates; unlike all else here it cannot be made again.
REVIEW_PREFIX = "state/review/"

# Shards whose duplicates lie in one object.
SHARDS_PER_BLOCK = 1024

_CANDIDATES = re.compile(r"candidates/round-(\d{3,})-shard-(\d{7,})\.parquet")


def candidates_key(round: int, shard: int) -> str:
    """Return where a shard's units are, kept and dropped; both numbers start at 0."""
    return f"{CANDIDATES_PREFIX}{_shard_name(round, shard)}"


def round_prefix(round: int) -> str:
    """Return what the keys of a round's candidates start with."""
    return f"{CANDIDATES_PREFIX}round-{round:03d}-"


def parse_candidates_key(key: str) -> tuple[int, int]:
    """Return the round and the shard of a key under ``candidates/``.

    Raises:
        StorageError: no run writes such a key; the place is shared with something else.
    """
    found = _CANDIDATES.fullmatch(key)
    if found is None or candidates_key(int(found[1]), int(found[2])) != key:
        raise StorageError(
            f"{key} is no shard of a run (such as {candidates_key(0, 12)}); move it elsewhere, "
            "or choose an output_uri of its own."
        )
    return int(found[1]), int(found[2])


def synthetic_key(round: int, shard: int) -> str:
    """Return where the kept candidates of a shard are."""
    return f"{SYNTHETIC_PREFIX}{_shard_name(round, shard)}"


def duplicates_block(shard: int) -> int:
    """Return the block that a shard's duplicates are in."""
    return shard // SHARDS_PER_BLOCK


def duplicates_key(round: int, shard: int) -> str:
    """Return where the duplicates of a shard are, with those of its neighbours."""
    return f"{DUPLICATES_PREFIX}round-{round:03d}-block-{duplicates_block(shard):07d}.parquet"


def duplicates_done_key(round: int) -> str:
    """Return the object that says a round's duplicates are all found; written last."""
    return f"{DUPLICATES_PREFIX}round-{round:03d}.json"


def round_key(round: int) -> str:
    """Return where the plan of a round is, where it follows from earlier rounds."""
    return f"{STATE_PREFIX}rounds/round-{round:03d}.json"


def census_key(round: int) -> str:
    """Return where the counts of a finished round are."""
    return f"{STATE_PREFIX}rounds/census-{round:03d}.json"


def student_key(arm: Arm, name: str) -> str:
    """Return where a student's file is: ``student/augmented/scores.json``."""
    return f"{STUDENT_PREFIX}{arm}/{name}"


def tune_state_key(name: str) -> str:
    """Return where tuning keeps what it needs to continue: a checkpoint's file."""
    return f"{TUNE_STATE_PREFIX}{name}"


def progress_key(stage: str) -> str:
    """Return where a stage writes how far it is, for ``msp status``."""
    return f"{STATE_PREFIX}progress/{stage}.json"


def decision_key(candidate_id: int, session: str, number: int) -> str:
    """Return where a decision on a candidate is: the reviewer's session and its count in it."""
    return f"{REVIEW_PREFIX}{candidate_id:020d}-{session}-{number:06d}.json"


def damaged_key(key: str, digest: str) -> str:
    """Return where a damaged object is set aside, by the SHA-256 of what it holds now."""
    return f"{DAMAGED_PREFIX}{key}.{digest[:12]}"


def stage_time_key(stage: str) -> str:
    """Return where a stage notes how long it took."""
    return f"{STATE_PREFIX}times/{stage}.json"


def _shard_name(round: int, shard: int) -> str:
    if round < 0 or shard < 0:
        raise ValueError(f"round {round}, shard {shard}: both start at 0")
    return f"round-{round:03d}-shard-{shard:07d}.parquet"
