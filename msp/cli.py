"""The ``msp`` command: parse, load the config, then import what is heavy, then call one function.

Everything a person reads goes to standard error; the last line on standard
output is one JSON object. Exit status: 0 done, 1 the run failed, 2 the user's
input was wrong.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from msp import __version__
from msp.errors import ComparisonError, MSPError

app = typer.Typer(
    help="Turn a few labelled examples into a training set with mixtures of tuned soft prompts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="the run's YAML file")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="override one setting; repeatable"),
]
OutputUri = Annotated[str, typer.Argument(metavar="OUTPUT_URI", help="where a run writes")]


def _stage(name: str, config: Path, overrides: list[str] | None) -> None:
    from msp.config_file import load_config

    resolved = load_config(config, overrides or [])
    from msp.distributed.run import run_stage

    _print(run_stage(name, resolved))


def _print(result: dict[str, Any]) -> None:
    sys.stderr.flush()
    print(json.dumps(result), flush=True)


@app.command()
def run(config: ConfigPath, set_: Overrides = None) -> None:
    """Do every stage that is not yet done, from seed examples to the report."""
    _stage("run", config, set_)


@app.command()
def tune(config: ConfigPath, set_: Overrides = None) -> None:
    """Tune the soft prompts on the frozen LM."""
    _stage("tune", config, set_)


@app.command()
def generate(config: ConfigPath, set_: Overrides = None) -> None:
    """Generate, judge and publish the synthetic examples (tunes first where needed)."""
    _stage("generate", config, set_)


@app.command()
def train(config: ConfigPath, set_: Overrides = None) -> None:
    """Train the student on the seed examples, and on seed + synthetic examples."""
    _stage("train", config, set_)


@app.command()
def evaluate(config: ConfigPath, set_: Overrides = None) -> None:
    """Write metrics.json: every figure of the run."""
    _stage("evaluate", config, set_)


@app.command()
def report(config: ConfigPath, set_: Overrides = None) -> None:
    """Write report.html anew from what the store holds."""
    _stage("report", config, set_)


@app.command()
def preview(
    config: ConfigPath,
    num: Annotated[int, typer.Option("-n", min=1, help="candidates to show")] = 10,
    set_: Overrides = None,
) -> None:
    """Show what a big run would produce, before it is paid for; writes nothing."""
    from msp.config_file import load_config

    resolved = load_config(config, set_ or [])
    from msp.preview import preview_run

    _print(preview_run(resolved, num))


@app.command()
def estimate(config: ConfigPath, set_: Overrides = None) -> None:
    """Say what the run will take and cost, from a small part of it that is run for real."""
    from msp.config_file import load_config

    resolved = load_config(config, set_ or [])
    from msp.distributed.estimate import estimate_run

    _print({"stage": "estimate", **estimate_run(resolved)})


@app.command()
def status(
    output_uri: OutputUri,
    endpoint_url: Annotated[str | None, typer.Option(help="S3 endpoint (MinIO, Ceph, R2)")] = None,
) -> None:
    """Read the progress and cost of a run, a comparison or a loop from its store, from anywhere."""
    from msp.status import run_status

    _print(run_status(output_uri, endpoint_url=endpoint_url))


@app.command()
def review(
    output_uri: OutputUri,
    port: Annotated[int, typer.Option(min=0, max=65535, help="of 127.0.0.1; 0 for any")] = 0,
    endpoint_url: Annotated[str | None, typer.Option(help="S3 endpoint (MinIO, Ceph, R2)")] = None,
) -> None:
    """Let a person accept, reject and correct a finished run's candidates, in a browser here."""
    from msp.review.serve import review_run

    _print({"stage": "review", **review_run(output_uri, port=port, endpoint_url=endpoint_url)})


@app.command()
def submit(
    config: ConfigPath,
    address: Annotated[str, typer.Option(help="the cluster's job server, http://HOST:8265")],
    detach: Annotated[bool, typer.Option(help="do not follow the job's log")] = False,
    set_: Overrides = None,
) -> None:
    """Send the run to a cluster through the Ray Jobs API."""
    from msp.config_file import load_config

    resolved = load_config(config, set_ or [])
    from msp.distributed.submit import submit_run

    _print(submit_run(resolved, config, set_ or [], address=address, follow=not detach))


@app.command()
def compare(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="the comparison's YAML file")],
    set_: Overrides = None,
) -> None:
    """Run methods beside each other on tasks and seeds, and write one table of what they gain."""
    from msp.compare.config import load_compare_config

    resolved = load_compare_config(config, set_ or [])
    from msp.distributed.compare import compare_arms

    result = compare_arms(resolved)
    _print(result)
    if failed := result["failed"]:
        raise ComparisonError(
            f"{len(failed)} of {result['num_cells']} cells failed ({'; '.join(failed)}); "
            f"{result['page']} says why, and the same command tries them again."
        )


@app.command()
def improve(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="the loop's YAML file")],
    set_: Overrides = None,
) -> None:
    """Generate in rounds, each where dev says the student is weakest, until it gains no more."""
    from msp.improve.config import load_improve_config

    resolved = load_improve_config(config, set_ or [])
    from msp.distributed.improve import improve as run_loop

    _print(run_loop(resolved))


@app.command()
def search(
    config: ConfigPath,
    trials: Annotated[int, typer.Option(min=1, help="settings that are tried")] = 20,
    hours: Annotated[float | None, typer.Option(help="try none after so many")] = None,
    set_: Overrides = None,
) -> None:
    """Say which cut, quota and weight of a run's candidates make the best student on dev."""
    from msp.config_file import load_config

    resolved = load_config(config, set_ or [])
    from msp.distributed.search import search_settings

    _print(search_settings(resolved, num_trials=trials, hours=hours))


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    pass


def guarded(action: Callable[[], object]) -> int:
    """Return the exit status of an action, having said on standard error what went wrong."""
    try:
        action()
    except MSPError as error:
        print(f"msp: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("msp: stopped; the same command continues.", file=sys.stderr)
        return 130
    return 0


def main() -> None:
    """Run the command line and leave with its exit status."""
    sys.exit(guarded(app))


if __name__ == "__main__":
    main()
