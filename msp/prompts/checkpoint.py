"""Prompts in the run's store: tensors first, then the description that makes them readable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
import torch

from msp.config import PromptsConfig, RunConfig
from msp.errors import CheckpointError
from msp.models.encoder import vector_size
from msp.models.lm_files import LMFiles
from msp.prompts.contextual import Contextual, ContextualSizes, find_form
from msp.prompts.soft import SoftPrompts
from msp.storage.layout import PROMPTS_JSON, PROMPTS_TENSORS
from msp.storage.store import ObjectStore
from msp.tasks.ontology import Ontology

if TYPE_CHECKING:
    from msp.models.frozen_lm import FrozenLM

FOLDER = "prompts"
FORMAT_VERSION = 1


def describe_prompts(
    config: RunConfig, lm: LMFiles, ontology: Ontology, tuning: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what prompts.json says: which model, which sizes, how begun, mixed and tuned."""
    return {
        "format": FORMAT_VERSION,
        "base_model": {"name": lm.name, "content_hash": lm.content_hash},
        "sizes": {
            "hidden_size": lm.hidden_size,
            "instruction_length": config.prompts.instruction_length,
            "attribute_length": config.prompts.attribute_length,
            "num_attributes": len(ontology.all),
        },
        "init": config.prompts.init,
        "mixture": config.prompts.mixture,
        "contextual": contextual_of(config.prompts, lm),
        "attributes": [attribute.name for attribute in ontology.all],
        "tuning": dict(tuning),
    }


def contextual_of(prompts: PromptsConfig, lm: LMFiles) -> dict[str, Any] | None:
    """Return form and sizes of what is computed from examples; None where nothing is."""
    if not prompts.has_contextual:
        return None
    return {
        "form": prompts.contextual_form,
        "vector_size": vector_size(prompts.contextual_encoder),
        "length": prompts.contextual_length,
        "hidden_size": lm.hidden_size,
        "num_bases": prompts.contextual_bases,
        "width": prompts.contextual_width,
    }


def save_prompts(store: ObjectStore, soft: SoftPrompts, meta: Mapping[str, Any]) -> None:
    """Write the prompts; they count as saved once prompts.json, the last object, is there.

    Its ``sha256`` is that of prompts.safetensors.
    """
    tensors = {name: p.detach().float().cpu().contiguous() for name, p in soft.named_parameters()}
    payload = safetensors.torch.save(tensors)
    store.write(PROMPTS_TENSORS, payload)
    described = {**meta, "sha256": hashlib.sha256(payload).hexdigest()}
    store.write(PROMPTS_JSON, json.dumps(described, indent=2).encode())


def prompts_are_saved(store: ObjectStore) -> bool:
    """Tell whether the store has finished prompts."""
    return store.exists(PROMPTS_JSON)


def read_meta(store: ObjectStore) -> dict[str, Any]:
    """Return prompts.json.

    Raises:
        CheckpointError: it is not there, or is damaged.
    """
    where = f"prompts at {store.uri}/{FOLDER}"
    if not store.exists(PROMPTS_JSON):
        raise CheckpointError(f"{where} are not there; run msp tune first.")
    try:
        meta = json.loads(store.read(PROMPTS_JSON))
        version = meta["format"]
        sizes, model = meta["sizes"], meta["base_model"]
        complete = {"hidden_size"} <= set(sizes) and {"name", "content_hash"} <= set(model)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{where}: prompts.json is damaged ({error}).") from error
    if version != FORMAT_VERSION or not complete:
        raise CheckpointError(
            f"{where}: prompts.json has format {version!r}, but this version of msp reads "
            f"{FORMAT_VERSION}; tune again."
        )
    checked: dict[str, Any] = meta
    return checked


def load_prompts(
    store: ObjectStore, lm: FrozenLM, *, attributes: Sequence[str] | None = None
) -> SoftPrompts:
    """Return the store's prompts, on the LM's device, if they were tuned for this very LM.

    Args:
        store: the run's.
        lm: its hidden size and the hash of its weights must be those of the prompts.
        attributes: the names of ``Ontology.all``, where they are to be compared, too.

    Raises:
        CheckpointError: the prompts are not there, are damaged, or belong to
            another model or another ontology.
    """
    meta = read_meta(store)
    _check_model(f"prompts at {store.uri}/{FOLDER}", meta, lm)
    if attributes is not None and list(attributes) != meta.get("attributes"):
        raise CheckpointError(
            f"prompts at {store.uri}/{FOLDER} are for {_differing(meta, attributes)}; they were "
            "tuned for another ontology. Tune again with another output_uri."
        )
    payload = store.read(PROMPTS_TENSORS)
    if meta.get("sha256", found := hashlib.sha256(payload).hexdigest()) != found:
        raise CheckpointError(
            f"{store.uri}/{PROMPTS_TENSORS} is damaged: its sha256 is not the one in prompts.json; "
            "the command that made it sets it aside and tunes again."
        )
    where = f"{store.uri}/{PROMPTS_TENSORS}"
    soft = prompts_from_bytes(payload, meta["mixture"], meta.get("contextual"), where=where)
    if soft.instruction.shape[-1] != lm.hidden_size:
        raise CheckpointError(f"{store.uri}/{PROMPTS_TENSORS} does not belong to its prompts.json.")
    return soft.to(lm.device)


def prompts_from_bytes(
    payload: bytes, mixture: str, contextual: Mapping[str, Any] | None = None, *, where: str
) -> SoftPrompts:
    """Return prompts from the bytes of a safetensors file.

    Args:
        payload: holds every parameter under its name; other tensors are not read.
        mixture: of these prompts.
        contextual: see :func:`contextual_of`.
        where: for the message.

    Raises:
        CheckpointError: the bytes are damaged or hold other tensors.
    """
    try:
        tensors = safetensors.torch.load(payload)
        if contextual and "instruction" not in tensors:
            # Driven by an example alone: these are empty, and no parameters.
            none = torch.zeros(0, contextual["hidden_size"])
            tensors = {"instruction": none, "attributes": none[None], **tensors}
        soft = SoftPrompts(
            tensors["instruction"],
            tensors["attributes"],
            mixture=mixture,
            contextual=_empty_contextual(contextual) if contextual else None,
        )
        soft.load_state_dict({name: tensors[name] for name in soft.state_dict()})
    except (safetensors.SafetensorError, KeyError, AssertionError, RuntimeError) as error:
        raise CheckpointError(
            f"{where} is damaged ({error}); restore it, or tune again with another output_uri."
        ) from error
    return soft


def _empty_contextual(described: Mapping[str, Any]) -> Contextual:
    sizes = ContextualSizes(**{name: described[name] for name in ContextualSizes._fields})
    start = torch.zeros(sizes.num_bases, sizes.length, sizes.hidden_size)
    return find_form(described["form"])(sizes, start)


def _check_model(where: str, meta: Mapping[str, Any], lm: FrozenLM) -> None:
    hidden_size = meta["sizes"]["hidden_size"]
    if hidden_size != lm.hidden_size:
        raise CheckpointError(
            f"{where} are for hidden size {hidden_size}, but the model has {lm.hidden_size}; "
            "they were tuned for another model."
        )
    base = meta["base_model"]
    if base["content_hash"] != lm.content_hash:
        raise CheckpointError(
            f"{where} are for the model {base['name']} ({str(base['content_hash'])[:12]}), but "
            f"{lm.name} has other weights ({lm.content_hash[:12]}); they were tuned for another "
            "model. Set model.name to theirs, or tune again with another output_uri."
        )


def _differing(meta: Mapping[str, Any], attributes: Sequence[str]) -> str:
    tuned = [str(name) for name in meta.get("attributes", [])]
    gone = [repr(name) for name in tuned if name not in attributes]
    new = [repr(name) for name in attributes if name not in tuned]
    if not gone and not new:
        return "the same attributes in another order"
    return f"other attributes (only theirs: {', '.join(gone[:3]) or 'none'}; only the task's: " + (
        f"{', '.join(new[:3]) or 'none'})"
    )
