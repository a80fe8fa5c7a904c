"""Answers are the command line's, to the last bit; wrong input is an exception that says what, where and what then."""

from __future__ import annotations

import concurrent.futures
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import shardfit
from shardfit.__main__ import main

QUESTIONS: list[tuple[str, str | None, dict[str, Any], list[str]]] = [
    ("plan", "llama-3.1-70b", {"cluster": "8xh100-sxm", "isl": 2048, "ttft": "1s", "top": 3},
     ["--cluster", "8xh100-sxm", "--isl", "2048", "--ttft", "1s", "--top", "3"]),
    ("plan", "llama-3.1-70b", {"cluster": "1xrtx-4090", "top": 1}, ["--cluster", "1xrtx-4090", "--top", "1"]),
    ("estimate", "llama-3.1-8b", {"gpu": "l40s", "tp": 2, "concurrency": 7},
     ["--gpu", "l40s", "--tp", "2", "--concurrency", "7"]),
    ("size", "llama-3.1-8b", {"gpu": ["l40s", "h100-sxm"], "rate": 12.5, "tpot": "40ms"},
     ["--gpu", "l40s,h100-sxm", "--rate", "12.5", "--tpot", "40ms"]),
    ("simulate", "llama-3.1-8b", {"gpu": "h100-sxm", "rate": 3, "requests": 100, "seed": 5},
     ["--gpu", "h100-sxm", "--rate", "3", "--requests", "100", "--seed", "5"]),
    ("inspect", "deepseek-v3", {}, []),
    ("train", "llama-3.1-8b", {"cluster": "8xh100-sxm", "global_batch": 64, "seq": 8192, "top": 2},
     ["--cluster", "8xh100-sxm", "--global-batch", "64", "--seq", "8192", "--top", "2"]),
    ("budget", None, {"flops": 1e23}, ["--flops", "1e23"]),
    (
        "fit",
        None,
        {"cluster": "1xrtx-4090", "family": ["smollm2"], "top": 2},
        ["--cluster", "1xrtx-4090", "--family", "smollm2", "--top", "2"],
    ),
]  # fmt: skip


def command_line(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "shardfit", *words], capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@pytest.mark.parametrize("command, model, fields, flags", QUESTIONS)
def test_an_answer_is_that_of_the_command_line(
    command: str, model: str | None, fields: dict[str, Any], flags: list[str]
) -> None:
    ask = getattr(shardfit, command)
    answer = ask(**fields) if model is None else ask(model, **fields)
    words = [command, *([] if model is None else [model]), *flags, "--format", "json"]
    assert answer.to_dict() == json.loads(command_line(*words))


def test_fields_are_attributes_and_rows_are_tables() -> None:
    answer = shardfit.plan("llama-3.1-70b", cluster="8xh100-sxm", isl=2048, ttft="1s", top=3)
    best = answer.plans[0]
    assert isinstance(best, shardfit.Plan)
    assert best.ttft_ms is not None and best.ttft_ms <= 1000
    assert best.tpot_ms == answer.to_dict()["plans"][0]["tpot_ms"]
    assert best.memory.weights_gib == best["memory"]["weights_gib"]
    assert [row["rank"] for row in answer.rows()] == [1, 2, 3]
    with pytest.raises(AttributeError, match="has no `tpot`; it has rank, gpu"):
        best.tpot
    with pytest.raises(AttributeError, match="not changed"):
        best.tpot_ms = 1.0
    assert pickle.loads(pickle.dumps(answer)) == answer
    assert "<svg" in answer._repr_html_() and "tpot_ms" in answer._repr_html_()


def test_without_limits_three_plans_have_names() -> None:
    named = shardfit.plan("llama-3.1-70b", cluster="8xh100-sxm").named
    fastest, most = named.fastest.tpot_ms, named.most_throughput.tpot_ms
    assert fastest is not None and most is not None and fastest < most
    assert named.balanced.meaning


def test_tables_of_pandas_and_polars_have_a_row_a_plan() -> None:
    answer = shardfit.plan("llama-3.1-70b", cluster="8xh100-sxm", top=3)
    pandas = pytest.importorskip("pandas")
    frame = answer.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and len(frame) == len(answer.plans)
    assert frame["weights_gib"][0] == answer.plans[0].memory.weights_gib
    pytest.importorskip("polars")
    assert answer.to_polars()["tpot_ms"].to_list() == [plan.tpot_ms for plan in answer.plans]


def test_the_front_is_drawn() -> None:
    pytest.importorskip("matplotlib").use("agg")
    axes = shardfit.plan("llama-3.1-8b", cluster="1xh100-sxm").plot()
    assert axes.get_ylabel() == "tokens/s of a GPU" and len(axes.lines[0].get_xdata()) > 2


def test_a_model_is_a_name_a_path_a_dictionary_or_a_configuration(tmp_path: Path) -> None:
    config = shardfit.catalog("models", "llama-3.1-8b")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))

    class Configuration:
        def to_dict(self) -> dict[str, Any]:
            return dict(config)

    named = shardfit.inspect("llama-3.1-8b")["params"]["total"]
    for model in (path, config, Configuration()):
        assert shardfit.inspect(model)["params"]["total"] == named
    with pytest.raises(shardfit.InputError, match="a int is no model"):
        shardfit.inspect(3)  # type: ignore[arg-type]


def test_wrong_input_says_what_where_and_what_is_allowed() -> None:
    with pytest.raises(shardfit.InputError) as caught:
        shardfit.plan("llama-3.1-70b", cluster="8xh100-smx")
    error = caught.value
    assert (error.cause, error.code) == ("unknown GPU or cluster `h100-smx`", "unknown-name")
    assert error.help is not None and "did you mean `h100-sxm`?" in error.help
    assert isinstance(error, ValueError) and str(error).splitlines()[0] == error.cause
    assert isinstance(pickle.loads(pickle.dumps(error)), shardfit.InputError)
    with pytest.raises(shardfit.InputError, match="`ttft`"):
        shardfit.plan("llama-3.1-70b", cluster="8xh100-sxm", ttft="soon")
    with pytest.raises(shardfit.InputError):
        shardfit.plan("llama-3.1-70b", cluster="8xh100-sxm", acceptance=float("nan"))
    with pytest.raises(TypeError, match="clustre"):
        shardfit.plan("llama-3.1-70b", clustre="8xh100-sxm")  # type: ignore[call-arg]
    with pytest.raises(shardfit.InputError, match="unknown"):
        shardfit.catalog("gpu2s")


def test_nothing_feasible_is_an_answer() -> None:
    answer = shardfit.plan("llama-3.1-405b", cluster="1xrtx-4090")
    assert answer.plans == [] and answer.space.feasible == 0 and answer.rejected[0].count > 0
    assert "nothing is feasible" in answer._repr_html_()


def test_files_that_start_a_plan_are_written(tmp_path: Path) -> None:
    files = shardfit.emit("llama-3.1-8b", cluster="1xh100-sxm")
    assert "vllm serve" in str(files)
    for path in files.write(tmp_path / "launch"):
        assert path.read_text() in str(files)


def test_files_are_checked_and_rows_validated(tmp_path: Path) -> None:
    bad = tmp_path / "gpus" / "mine.yaml"
    bad.parent.mkdir()
    bad.write_text("id: mine\n")
    assert json.dumps(shardfit.check(bad)).count("memory") > 0
    rows = tmp_path / "params.csv"
    rows.write_text("model,total\nllama-3.1-8b,8030261248\n")
    assert shardfit.validate("params", rows)["metrics"]["total"]["mape"] == 0.0


def test_threads_ask_at_once_and_get_the_same() -> None:
    def ask(n: int) -> Any:
        return shardfit.estimate("llama-3.1-8b", gpu="h100-sxm", concurrency=1 + n % 4).to_dict()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(16)))
    assert all(answers[n] == answers[n % 4] for n in range(16))


def test_a_forked_process_answers() -> None:
    shardfit.estimate("llama-3.1-8b", gpu="h100-sxm")
    child = os.fork()
    if child == 0:
        try:
            shardfit.plan("llama-3.1-8b", cluster="1xh100-sxm", top=1)
            os._exit(0)
        finally:
            os._exit(1)
    for _ in range(600):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the forked process hangs")


def test_ctrl_c_ends_a_long_question() -> None:
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        shardfit.simulate("llama-3.1-8b", gpu="h100-sxm", rate=5, requests=5_000_000)
    assert time.monotonic() - began < 20


def test_the_command_answers_and_refuses(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["shardfit", "catalog", "gpus", "h100-smx"])
    assert main() == 2
    assert "did you mean `h100-sxm`?" in capfd.readouterr().err
