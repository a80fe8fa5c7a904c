"""Sweeps on executors give the same bytes as one process, also when workers are lost."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import shardfit

FILES = ("results.csv", "results.jsonl", "summary.md", "report.html")


def scenario(targets: int) -> dict[str, Any]:
    """Two models on two clusters under ten loads, with so many targets each."""
    return {
        "name": "many questions",
        "models": ["llama-3.1-8b", "qwen3-14b"],
        "clusters": ["2xh100-sxm", "4xl40s"],
        "workloads": [{"name": f"load {n}", "isl": 200 + 150 * n, "osl": 60 + 30 * n} for n in range(10)],
        "targets": [{"name": f"within {20 + n}", "tpot": f"{20 + n} ms"} for n in range(targets)],
        # Many cases, in a build that is not optimised: the closed form alone.
        "search": {"verify": 0},
    }


def written(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    shardfit.sweep(scenario(50), output=folder)
    return folder


def test_a_pool_of_processes_writes_the_same_bytes_as_one_process(alone: Path, tmp_path: Path) -> None:
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        result = shardfit.sweep(scenario(50), output=tmp_path / "pool", executor=pool)
    assert written(tmp_path / "pool") == written(alone)
    assert len(result) == 2 * 2 * 10 * 50


def test_what_a_broken_pool_leaves_is_done_in_this_process(alone: Path, tmp_path: Path) -> None:
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        pid = pool.submit(os.getpid).result()
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)
        with pytest.warns(RuntimeWarning, match="lost its workers"):
            shardfit.sweep(scenario(50), output=tmp_path / "broken", executor=pool)
    assert written(tmp_path / "broken") == written(alone)


def test_cases_stream_back_in_the_order_of_the_scenario() -> None:
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        cases = [case["case"] for case in shardfit.iter_sweep(scenario(7), executor=pool)]
    assert cases == list(range(1, 2 * 2 * 10 * 7 + 1))


class Fails:
    """An executor whose every part fails so many times before it is answered."""

    def __init__(self, times: int) -> None:
        self.left = times

    def submit(self, fn: Any, /, *args: Any) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        if self.left > 0:
            self.left -= 1
            future.set_exception(ConnectionError("the worker is gone"))
        else:
            future.set_result(fn(*args))
        return future


def test_a_part_that_was_lost_is_done_again(alone: Path, tmp_path: Path) -> None:
    shardfit.sweep(scenario(50), output=tmp_path / "again", executor=Fails(2))
    assert written(tmp_path / "again") == written(alone)


def test_a_part_that_is_lost_every_time_ends_the_sweep_and_resume_goes_on(alone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "resumed"
    with pytest.raises(ConnectionError):
        shardfit.sweep(scenario(50), output=folder, executor=Fails(10_000))
    with pytest.raises(shardfit.InputError, match="unfinished run"):
        shardfit.sweep(scenario(50), output=folder)
    done: list[int] = []
    shardfit.sweep(scenario(50), output=folder, resume=True, progress=lambda n, _: done.append(n))
    assert written(folder) == written(alone)
    assert done[-1] == 2000


def test_a_worker_that_understands_the_scenario_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from shardfit import sweeps

    with pytest.raises(shardfit.InputError, match="a worker understands the scenario otherwise"):
        sweeps._answer_part(*sweeps._question(scenario(1), None), "another", [0])


def test_something_that_runs_nothing_is_refused() -> None:
    with pytest.raises(shardfit.InputError, match="`int` runs nothing"):
        shardfit.sweep(scenario(1), executor=3)


def many(folder: Path) -> tuple[dict[str, Any], Path]:
    """20,000 cases and their results from one process."""
    asked = scenario(500)
    shardfit.sweep(asked, output=folder / "alone")
    return asked, folder / "alone"


def test_dask_with_a_worker_killed_writes_the_same_bytes(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    asked, one = many(tmp_path)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            victim = next(iter(client.run(os.getpid).values()))
            killer = threading.Timer(0.7, os.kill, (victim, signal.SIGKILL))
            killer.start()
            shardfit.sweep(asked, output=tmp_path / "dask", executor=client)
            killer.join()
    assert written(tmp_path / "dask") == written(one)


def test_ray_with_a_worker_killed_writes_the_same_bytes(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    asked, one = many(tmp_path)
    try:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    except Exception as cause:
        pytest.skip(f"Ray does not start on this machine: {cause}")
    try:
        victim = ray.get(ray.remote(lambda: os.getpid()).remote())
        killer = threading.Timer(1.0, os.kill, (victim, signal.SIGKILL))
        killer.start()
        shardfit.sweep(asked, output=tmp_path / "ray", executor=ray)
        killer.join()
    finally:
        ray.shutdown()
    assert written(tmp_path / "ray") == written(one)
