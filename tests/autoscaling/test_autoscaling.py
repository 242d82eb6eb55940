"""A run brings its nodes and lets them go: 0 -> 3 -> 0, by Ray's own autoscaler and fake nodes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_cluster import MAX_NODES, FakeCluster
from slow_driver import LOG
from timeline import Sample, svg

from msp.distributed.drain_on_notice import drain_command
from msp.status import run_status
from msp.storage import layout
from msp.storage.store import open_store

pytestmark = [pytest.mark.ray, pytest.mark.slow]

CONFIG = """
output_uri: {output}
task: {{name: jsonl, path: "sample:front_desk"}}
generate: {{engine: scripted, novel_units_per_seed_example: 1, units_per_shard: 4}}
denoise: {{frequency_weight: 1.0, distance_weight: 0.0, disagreement_weight: 0.0}}
student: {{num_seeds: 1, num_steps: 50}}
metrics: {{max_texts: 0}}
cluster:
  address: {address}
  max_generators: 3
  cpus_per_generator: 0.5
  gpus_per_generator: 1
  generator_labels: {{gpu-type: fake}}
  dollars_per_head_hour: 0.2
  dollars_per_gpu_hour: 0.5
"""
HERE = Path(__file__).parent
_MAX_SECONDS = 900
# Shards that an actor of Ray Data holds at most, the one that it works on included, and one that
# is on its way before Ray Data looks for drained nodes again.
_HANDED_OUT = 5


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeCluster]:
    with pytest.MonkeyPatch.context() as patch:
        path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        patch.setenv("PYTHONPATH", path.rstrip(os.pathsep))
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv(LOG, str(tmp_path_factory.mktemp("shards") / "log"))
        cluster = FakeCluster(tmp_path_factory.mktemp("cluster"))
        try:
            cluster.wait_until_it_answers()
            yield cluster
        finally:
            cluster.kill()


def start(
    cluster: FakeCluster, folder: Path, *settings: str, stage: str = "run"
) -> subprocess.Popen[str]:
    config = folder / "run.yaml"
    config.write_text(CONFIG.format(output=folder / "out", address=cluster.address))
    overrides = [word for setting in settings for word in ("--set", setting)]
    return subprocess.Popen(
        [sys.executable, str(HERE / "slow_driver.py"), stage, str(config), *overrides],
        stdout=subprocess.PIPE,
        stderr=(folder / "log").open("w"),
        text=True,
    )


def watched(cluster: FakeCluster, run: subprocess.Popen[str], output: Path) -> list[Sample]:
    """Return seconds, nodes and units done until the run is over and its nodes are gone."""
    started, samples, store = time.monotonic(), [], open_store(str(output))
    while True:
        key = layout.progress_key("generate")
        done = json.loads(store.read(key))["done_units"] if store.exists(key) else 0
        num_nodes = cluster.num_gpu_nodes()
        samples.append((round(time.monotonic() - started, 1), num_nodes, done))
        if run.poll() is not None and not num_nodes:
            return samples
        assert samples[-1][0] < _MAX_SECONDS, samples
        time.sleep(0.5)


def test_more_than_any_node_type_brings_is_refused_at_once(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    run = start(cluster, tmp_path, "cluster.gpus_per_generator=2")
    said, _ = run.communicate(timeout=_MAX_SECONDS)
    log = (tmp_path / "log").read_text()
    assert (run.returncode, said) == (2, ""), log
    assert "generate needs 2 GPUs, but the cluster has 0" in log
    assert "no nodes which it may start can hold 1 x (0.5 CPU and 2 GPU on gpu-type=fake)" in log
    assert cluster.num_gpu_nodes() == 0 and not (tmp_path / "out").exists()


def test_a_label_that_no_node_type_has_is_refused(cluster: FakeCluster, tmp_path: Path) -> None:
    run = start(cluster, tmp_path, "cluster.generator_labels={gpu-type: h100}")
    run.communicate(timeout=_MAX_SECONDS)
    log = (tmp_path / "log").read_text()
    assert run.returncode == 2, log
    assert "gpu-type=h100" in log


def test_a_run_brings_three_nodes_and_none_is_left_after_it(
    cluster: FakeCluster, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    assert cluster.num_gpu_nodes() == 0
    run = start(cluster, tmp_path)
    samples = watched(cluster, run, tmp_path / "out")
    assert run.stdout
    log, said = (tmp_path / "log").read_text(), run.stdout.read()
    assert run.returncode == 0, log
    nodes = [sample[1] for sample in samples]
    assert (nodes[0], max(nodes), nodes[-1]) == (0, MAX_NODES, 0), samples
    assert json.loads(said.splitlines()[-1])["num_synthetic"] > 0
    assert "generate waits for nodes: it needs 1 GPUs, but the cluster has 0" in log

    status = run_status(str(tmp_path / "out"))
    assert status["done_units"] == status["planned_units"] == samples[-1][2] == 354
    assert status["node_hours"]["gpu"] > 0
    expected = 0.2 * status["node_hours"]["head"] + 0.5 * status["node_hours"]["gpu"]
    assert status["dollars"] == pytest.approx(expected, abs=1e-4)
    if picture := pytestconfig.getoption("--scaling-picture", None):
        hours = status["node_hours"]["gpu"] * 3600
        Path(picture).write_text(svg(samples, f"0 - 3 - 0: {hours:.0f} GPU seconds, 354 units"))


def begun() -> list[tuple[float, str, int]]:
    """Return when, on which node, and which shard each generator began, in order."""
    path = Path(os.environ[LOG])
    lines = path.read_text().splitlines() if path.exists() else []
    return [(float(at), node, int(shard)) for at, node, shard in map(str.split, lines)]


def test_a_preempted_node_gets_no_more_shards_and_none_is_made_twice(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    Path(os.environ[LOG]).unlink(missing_ok=True)
    run = start(cluster, tmp_path)
    while len({node for _, node, _ in begun()}) < MAX_NODES:
        assert run.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.5)
    victim = begun()[-1][1]
    command = [*drain_command(60), f"--address={cluster.address}", f"--node-id={victim}"]
    subprocess.run([sys.executable, "-m", "ray.scripts.scripts", *command[1:]], check=True)
    drained_at = time.time()
    run.communicate(timeout=_MAX_SECONDS)
    assert run.returncode == 0, (tmp_path / "log").read_text()

    shards = [shard for _, _, shard in begun()]
    assert sorted(shards) == list(range(len(shards))) and len(shards) == 89
    # What Ray Data had handed to the generator before is finished; then come no more.
    after = [at for at, node, _ in begun() if node == victim and at > drained_at]
    assert len(after) <= _HANDED_OUT, after
    assert any(at > drained_at + 2 for at, node, _ in begun() if node != victim)


def test_a_node_lost_while_tuning_costs_the_epoch_that_it_was_in(
    cluster: FakeCluster, tmp_path: Path, tiny_llama_path: Path
) -> None:
    run = start(
        cluster,
        tmp_path,
        "generate.engine=hf",
        f"model.name={tiny_llama_path}",
        "prompts={instruction_length: 4, attribute_length: 2, num_exemplars: 0}",
        "tune={num_epochs: 16, patience: 16, max_dev_generations: 0}",
        "cluster.tuner_labels={gpu-type: fake}",
        stage="tune",
    )
    store, key = open_store(str(tmp_path / "out")), layout.progress_key("tune")

    def epoch() -> int:
        assert run.poll() in (None, 0), (tmp_path / "log").read_text()
        return int(json.loads(store.read(key))["epoch"]) if store.exists(key) else 0

    while epoch() < 4:
        time.sleep(0.2)
    killed_at, before = time.monotonic(), epoch()
    cluster.kill_gpu_node()
    while epoch() <= before + 1:
        time.sleep(0.2)
    lost = time.monotonic() - killed_at
    run.communicate(timeout=_MAX_SECONDS)
    assert run.returncode == 0, (tmp_path / "log").read_text()
    curve = json.loads(store.read(layout.PROMPTS_JSON))["tuning"]["curve"]
    assert [record["epoch"] for record in curve] == list(range(17))
    sys.stderr.write(f"a node lost while tuning: two epochs later after {lost:.0f} s\n")
