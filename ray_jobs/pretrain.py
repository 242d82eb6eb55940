"""Pre-train a small LM and its tokenizer from text; run again with the same config to continue."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from msp.cli import guarded

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def pretrain(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="the pre-training's YAML file")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="override one setting; repeatable"),
    ] = None,
) -> None:
    """Leave model and tokenizer at OUTPUT_URI/model, ready for `model.name`."""
    from msp.config_file import load_config_as
    from msp.models.pretrain.settings import PretrainConfig

    resolved = load_config_as(PretrainConfig, config, set_ or [])
    from msp.distributed.pretrain import pretrain as run

    print(json.dumps(run(resolved)))


if __name__ == "__main__":
    sys.exit(guarded(app))
