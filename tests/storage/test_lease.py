"""One live run on one output: a second is refused, a dead holder is followed, a lost hold ends."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from msp.errors import HeldError, StorageError
from msp.storage.holder import Holder, parse_holder, this_process
from msp.storage.layout import HOLDER_JSON
from msp.storage.lease import Terms, held
from msp.storage.store import ObjectStore, open_store

QUICK = Terms(lease=1.5, renew=0.2, look=0.1, margin=0.5, grace=0.5)
HOLD = """
import sys, time
from msp.storage.lease import held
from msp.storage.store import open_store

with held(open_store(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""
HOLD_AND_HEAR_NOTHING = """
import sys, time
from msp.storage.lease import Terms, held
from msp.storage.store import open_store

with held(open_store(sys.argv[1]), terms=Terms(1.5, 0.2, 0.1, 0.5, 0.5)):
    print("held", flush=True)
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass
"""
HOLD_AS_A_BACKGROUND_JOB = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
from msp.cli import guarded
from msp.storage.lease import Terms, held
from msp.storage.store import open_store

def hold():
    with held(open_store(sys.argv[1]), terms=Terms(1.5, 0.2, 0.1, 0.5, 60)):
        print("held", flush=True)
        time.sleep(600)

sys.exit(guarded(hold))
"""


def holder(store: ObjectStore) -> Holder:
    found = parse_holder(store.read(HOLDER_JSON))
    assert found is not None
    return found


def holding(script: str, folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def elsewhere(store: ObjectStore) -> Holder:
    """Make a process on another machine hold the run."""
    other = dataclasses.replace(this_process(60), machine="another/boot/1", host="node-7")
    store.write(HOLDER_JSON, other.to_json())
    return other


def test_a_run_is_held_while_it_runs_and_free_afterwards(store: ObjectStore) -> None:
    with held(store):
        assert holder(store).pid == os.getpid() and holder(store).is_alive_here
    assert not store.exists(HOLDER_JSON)
    with pytest.raises(ZeroDivisionError), held(store):
        raise ZeroDivisionError
    assert not store.exists(HOLDER_JSON)


def test_a_second_live_run_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    process = holding(HOLD, tmp_path)
    store = open_store(str(tmp_path))
    try:
        there = holder(store)
        words = f"process {process.pid} on {there.host}, since {there.since}"
        with pytest.raises(HeldError, match=re.escape(words)) as caught, held(store):
            pytest.fail("two at once")
        assert caught.value.exit_status == 2
        assert holder(store).token == there.token
    finally:
        process.kill()
        process.communicate()


def test_a_killed_holder_on_this_machine_is_taken_over_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = holding(HOLD, tmp_path)
    process.kill()
    process.communicate()
    with held(open_store(str(tmp_path))):
        assert holder(open_store(str(tmp_path))).pid == os.getpid()
    said = capsys.readouterr().err
    assert f"process {process.pid}" in said and "is dead" in said and "waiting" not in said


def test_a_process_id_that_lives_again_is_not_the_holder(store: ObjectStore) -> None:
    gone = dataclasses.replace(this_process(60), started=1)
    store.write(HOLDER_JSON, gone.to_json())
    with held(store):
        assert holder(store).token != gone.token


def test_a_silent_holder_elsewhere_is_taken_over_after_its_lease_and_not_before(
    store: ObjectStore, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere(store)
    began = time.monotonic()
    with held(store, terms=QUICK):
        assert time.monotonic() - began >= QUICK.lease
        assert holder(store).pid == os.getpid()
    said = capsys.readouterr().err
    assert "on node-7" in said and "waiting up to 2 s" in said and "which is dead" in said


def test_a_holder_elsewhere_that_renews_is_alive(store: ObjectStore) -> None:
    other = elsewhere(store)
    renew = threading.Timer(
        QUICK.lease / 2, lambda: store.write(HOLDER_JSON, other.renewed(99).to_json())
    )
    renew.start()
    with pytest.raises(HeldError, match="on node-7"), held(store, terms=QUICK):
        pytest.fail("two at once")
    renew.join()


def test_a_damaged_holder_is_waited_for_and_then_replaced(store: ObjectStore) -> None:
    store.write(HOLDER_JSON, b'{"token": "half')
    with held(store, terms=QUICK):
        assert holder(store).pid == os.getpid()


def test_of_many_that_find_a_dead_holder_one_alone_takes_over(strict_store: ObjectStore) -> None:
    dead = dataclasses.replace(this_process(60), started=1).to_json()
    for _ in range(5):
        strict_store.write(HOLDER_JSON, dead)
        start = threading.Barrier(6)

        def race(number: int, start: threading.Barrier = start) -> bool:
            start.wait()
            return strict_store.replace(HOLDER_JSON, b"%d" % number, expected=dead)

        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(race, range(6))) == 1


def test_an_object_is_replaced_only_where_it_holds_what_was_expected(store: ObjectStore) -> None:
    assert not store.replace("a", b"new", expected=b"old")
    store.write("a", b"old")
    assert not store.replace("a", b"new", expected=b"other")
    assert store.replace("a", b"new", expected=b"old") and store.read("a") == b"new"
    assert not store.replace("a", None, expected=b"old") and store.exists("a")
    assert store.replace("a", None, expected=b"new") and not store.exists("a")


def test_a_lease_outlives_its_length_by_being_renewed(local_store: ObjectStore) -> None:
    with held(local_store, terms=QUICK):
        first = holder(local_store).to_json()
        time.sleep(2 * QUICK.lease)
        assert local_store.read(HOLDER_JSON) != first


def test_a_run_whose_lease_another_took_ends(local_store: ObjectStore) -> None:
    with (
        pytest.raises(StorageError, match=r"on node-7.* took the run"),
        held(local_store, terms=QUICK),
    ):
        elsewhere(local_store)
        time.sleep(30)
    assert holder(local_store).host == "node-7", "what another holds stays its own"


def test_a_run_that_cannot_renew_ends_before_another_may_begin(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "out"))
    began = time.monotonic()
    with pytest.raises(StorageError, match="could not renew its lease"), held(store, terms=QUICK):
        (tmp_path / "out" / "state").rename(tmp_path / "gone")
        (tmp_path / "out" / "state").write_bytes(b"a file where a folder must be")
        time.sleep(30)
    assert time.monotonic() - began < 30


def test_a_background_job_that_ignores_interrupts_loses_its_hold_in_good_order(
    tmp_path: Path,
) -> None:
    process = holding(HOLD_AS_A_BACKGROUND_JOB, tmp_path)
    elsewhere(open_store(str(tmp_path)))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and said.startswith("msp: ") and "Traceback" not in said


def test_a_process_that_hears_no_signal_is_ended(tmp_path: Path) -> None:
    process = holding(HOLD_AND_HEAR_NOTHING, tmp_path)
    elsewhere(open_store(str(tmp_path)))
    with suppress(subprocess.TimeoutExpired):
        _, said = process.communicate(timeout=60)
    process.send_signal(signal.SIGKILL)
    assert process.returncode == 1 and "took the run from this process" in said
