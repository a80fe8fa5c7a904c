"""Questions about what is known and about files: the answers are the command line's."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from shardfit import _native
from shardfit.asking import Folders, folders

Path = str | os.PathLike[str]


def _answer(words: Sequence[str], catalog: Folders | None) -> Any:
    own = [word for folder in folders(catalog) for word in ("--catalog", folder)]
    _, text = _native.printed(["shardfit", *words, "--format", "json", "--quiet", *own])
    return json.loads(text)


def catalog(kind: str, name: str | None = None, *, catalog: Folders | None = None) -> Any:
    """What is known of a kind, or one entry in full.

    Args:
        kind: ``gpus``, ``clusters``, ``models``, ``engines``, ``frameworks``, ``classes``, ``kernels`` or
            ``scheduling``.
        name: The entry; all of them, as a list, when left out.
        catalog: Folder, or folders, of your own entries, over those built in.

    Raises:
        InputError: A kind or a name that nobody knows.
    """
    return _answer(["catalog", kind, *([] if name is None else [name])], catalog)


def check(
    *files: Path, kind: str | None = None, catalog: Folders | None = None
) -> dict[str, Any]:
    """Every problem of files before they are used: descriptions of GPUs, clusters, engines and models, scenarios.

    Args:
        files: Files, and folders of them.
        kind: What they describe; told from folders and keys when left out.
        catalog: Folder, or folders, of your own entries, over those built in.

    Raises:
        InputError: A file that cannot be read.
    """
    words = ["check", *(os.fspath(file) for file in files), *([] if kind is None else ["--kind", kind])]
    problems: dict[str, Any] = _answer(words, catalog)
    return problems


def validate(
    kind: str,
    file: Path | None = None,
    *,
    log: Path | None = None,
    model: str | None = None,
    gpu: str | None = None,
    engine: str | None = None,
    weights: str | None = None,
    tp: int | None = None,
    pp: int | None = None,
    ep: int | None = None,
    attention_dp: int | None = None,
    models: Sequence[Path] = (),
    kernels: Path | None = None,
    estimator: str | None = None,
    by: Sequence[str] = (),
    output: Path | None = None,
    catalog: Folders | None = None,
) -> dict[str, Any]:
    """Errors of predictions on measured rows, or of memory against a server's start-up log.

    Args:
        kind: ``params``, ``memory``, ``kernels``, ``serving`` or ``training``.
        file: CSV file of measured rows; of serving also a result file of a benchmark, or a folder of them.
        log: Start-up log of a server, in place of rows.
        model: The model that was served, where the log or result file does not say.
        gpu: The GPU, where they do not say.
        engine: The engine and its version, where they do not say.
        weights: Weights as the server stored them, where they do not say.
        tp: Tensor parallel, where they do not say.
        pp: Pipeline stages, where they do not say.
        ep: Expert parallel, where they do not say.
        attention_dp: Attention data parallel, where they do not say.
        models: Folders of config.json files named ``<org>--<name>.json``, looked at first.
        kernels: Folder of measured kernel latencies.
        estimator: ``simulate`` (when left out) or ``steady``.
        by: Columns to group errors by.
        output: File for every row with its prediction.
        catalog: Folder, or folders, of your own entries, over those built in.

    Raises:
        InputError: What is wrong with the rows or the log, with file and line.
    """
    told = {
        "--log": log, "--model": model, "--gpu": gpu, "--engine": engine, "--weights": weights, "--tp": tp,
        "--pp": pp, "--ep": ep, "--attention-dp": attention_dp, "--kernels": kernels, "--estimator": estimator,
        "--output": output, "--by": ",".join(by) or None,
    }  # fmt: skip
    words = ["validate", kind, *([] if file is None else [os.fspath(file)])]
    for flag, value in told.items():
        if value is not None:
            words += [flag, os.fspath(value) if isinstance(value, os.PathLike) else str(value)]
    for folder in models:
        words += ["--models", os.fspath(folder)]
    errors: dict[str, Any] = _answer(words, catalog)
    return errors
