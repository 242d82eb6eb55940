"""A whole scripted run: refused while another is alive, mended where its objects are damaged."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from msp.storage import layout

pytestmark = pytest.mark.ray

CONFIG = """
output_uri: {output}
task: {{name: jsonl, path: "sample:front_desk"}}
generate: {{engine: scripted, novel_units_per_seed_example: 0}}
denoise: {{frequency_weight: 1.0, distance_weight: 0.0, disagreement_weight: 0.0}}
"""
TOTALS = layout.progress_key("generate")


def msp(config: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "msp.cli", "generate", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def contents(output: Path) -> dict[str, bytes]:
    prefixes = (layout.CANDIDATES_PREFIX, layout.SYNTHETIC_PREFIX, layout.DUPLICATES_PREFIX)
    # The card tells how fast the run was, which is another matter.
    paths = [path for prefix in prefixes for path in (output / prefix).glob("*")]
    paths.append(output / layout.SUMMARY_JSON)
    return {
        str(path.relative_to(output)): path.read_bytes() for path in paths if path.suffix != ".md"
    }


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; while it ran, a second one was refused."""
    folder = tmp_path_factory.mktemp("safe")
    path = folder / "run.yaml"
    path.write_text(CONFIG.format(output=folder / "out"))
    first = msp(path)
    holder = folder / "out" / layout.HOLDER_JSON
    while not holder.exists():
        assert first.poll() is None, first.communicate()
        time.sleep(0.02)
    held = json.loads(holder.read_bytes())
    # Held up, or it might end before the second has started.
    first.send_signal(signal.SIGSTOP)
    second = msp(path)
    _, said = second.communicate(timeout=400)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 2 and held["pid"] == first.pid
    assert f"process {first.pid} on {held['host']}, since {held['since']}" in said
    _, said = first.communicate(timeout=400)
    assert first.returncode == 0, said
    assert not holder.exists()
    return path


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def halved(data: bytes) -> bytes:
    return data[: len(data) // 2]


Damage = dict[str, Callable[[bytes], bytes]]


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        (
            {
                layout.candidates_key(0, 2): flipped,
                layout.candidates_key(0, 5): halved,
                layout.duplicates_key(0, 0): flipped,
                TOTALS: halved,
            },
            [layout.MANIFEST, layout.candidates_key(0, 0)],
        ),
        ({layout.MANIFEST: halved}, [layout.SUMMARY_JSON]),
    ],
    ids=["everything under way", "the manifest"],
)
def test_what_is_damaged_is_named_and_made_again(
    config: Path, damage: Damage, lost: list[str]
) -> None:
    output = config.parent / "out"
    before = contents(output)
    for key, harm in damage.items():
        (output / key).write_bytes(harm((output / key).read_bytes()))
    for key in lost:
        (output / key).unlink()
    again = msp(config)
    _, said = again.communicate(timeout=400)
    assert again.returncode == 0, said
    assert "Traceback" not in said and contents(output) == before
    for key in damage:
        assert f"{output / key} is damaged" in said
        assert list((output / layout.DAMAGED_PREFIX).rglob(f"{Path(key).name}.*"))
