"""Every case of a scenario, on this machine or on the workers of an executor.

The cases of a scenario fall into groups that share every figure. Parts, each some groups, are handed to workers; each
worker reads the scenario itself and gives back the answers, which are kept in a journal and handed on in the
scenario's order. A part whose worker was lost is done again.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from shardfit import _native
from shardfit.errors import InputError

if TYPE_CHECKING:
    import pandas
    import polars

Case = dict[str, Any]
"""A case: the columns of ``results.csv``, by name."""

_CASES_OF_A_PART = 64
"""Cases that a part holds at least, where the scenario has so many."""

_PARTS_UNDER_WAY = 64
"""Parts that are with the workers at once."""

_TRIES = 4
"""How often a part is tried before what went wrong is raised."""


class Submits(Protocol):
    """What work is handed to: an executor of ``concurrent.futures``, or anything with the same method."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Runs a function with arguments some time and gives its future."""
        ...


class SweepResult:
    """The answers to a scenario.

    Attributes:
        name: What the review is about.
        folder: Where the results stand: ``results.csv``, ``results.jsonl``, ``summary.md``, ``report.html`` and the
            journal; None where no folder was asked for.
        found: Cases with a feasible plan.
        note: What the results say of GPUs without measurements, if anything.
    """

    def __init__(self, name: str, folder: Path | None, cases: list[Case], found: int, note: str | None) -> None:
        self.name = name
        self.folder = folder
        self.cases = cases
        self.found = found
        self.note = note

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    def __repr__(self) -> str:
        return f"<shardfit.SweepResult {self.name!r}: {len(self.cases)} cases, {self.found} with a feasible plan>"

    def to_dict(self) -> list[Case]:
        """The cases as dictionaries, in the scenario's order."""
        return [dict(case) for case in self.cases]

    def to_pandas(self) -> pandas.DataFrame:
        """A row a case. Needs pandas."""
        import pandas

        return pandas.DataFrame(self.cases, columns=_native.Sweep.columns())

    def to_polars(self) -> polars.DataFrame:
        """A row a case. Needs polars."""
        import polars

        return polars.DataFrame(self.cases, schema=_native.Sweep.columns(), infer_schema_length=None)

    def _repr_html_(self) -> str:
        from shardfit._html import table

        shown = [case for case in self.cases[:50]]
        more = len(self.cases) - len(shown)
        return table(shown, f"{self!r}" + (f"; {more} more" if more else ""))


@functools.lru_cache(maxsize=4)
def _read(text: str, place: str, catalog: tuple[str, ...]) -> _native.Sweep:
    return _native.Sweep(text, place, list(catalog))


def _answer_part(
    text: str, place: str, catalog: tuple[str, ...], identity: str, groups: Sequence[int]
) -> list[str]:
    """Answers some groups; runs where a worker is."""
    sweep = _read(text, place, catalog)
    if sweep.identity != identity:
        raise InputError(
            "a worker understands the scenario otherwise",
            place,
            "its shardfit, its catalogue or the files beside the scenario differ from those here",
        )
    return sweep.answer(groups)


def _parts(sizes: Sequence[int], groups: Sequence[int]) -> list[list[int]]:
    parts: list[list[int]] = []
    room = 0
    for group in groups:
        if room <= 0:
            parts.append([])
            room = _CASES_OF_A_PART
        parts[-1].append(group)
        room -= sizes[group]
    return parts


def _submits(executor: Any) -> Submits | None:
    """What work is handed to, of everything that people hand in."""
    if executor is None or isinstance(executor, Executor):
        return cast("Submits | None", executor)
    home = type(executor).__module__.partition(".")[0]
    if home == "distributed":
        # A part is not a pure function for Dask: one that was lost is to be done again, not looked up.
        return cast(Submits, executor.get_executor(pure=False, retries=_TRIES - 1))
    if getattr(executor, "__name__", None) == "ray":
        return _Ray(executor)
    if hasattr(executor, "submit"):
        return cast(Submits, executor)
    raise InputError(
        f"`{type(executor).__name__}` runs nothing",
        "executor",
        "an executor of concurrent.futures, a Dask client, or the module ray after ray.init()",
    )


class _Ray:
    """Ray as an executor; a task whose worker dies is run again by Ray itself."""

    def __init__(self, ray: Any) -> None:
        if not ray.is_initialized():
            ray.init()
        self._run = ray.remote(num_cpus=1, max_retries=_TRIES - 1)(_call)

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        return cast("Future[Any]", self._run.remote(fn, *args).future())


def _call(fn: Callable[..., Any], *args: Any) -> Any:
    return fn(*args)


def _answers(
    sweep: _native.Sweep,
    parts: Sequence[Sequence[int]],
    here: Callable[[Sequence[int]], list[str]],
    submits: Submits | None,
    question: tuple[str, str, tuple[str, ...]],
) -> Iterator[tuple[int, list[str]]]:
    """The records of each part with its number, as they come."""
    if submits is None:
        for number, part in enumerate(parts):
            yield number, here(part)
        return
    left = dict.fromkeys(range(len(parts)))
    try:
        for number, records in _from_workers(submits, parts, (*question, sweep.identity)):
            del left[number]
            yield number, records
    except BrokenExecutor:
        # It takes nothing more.
        warnings.warn(
            f"the executor lost its workers; the last {len(left)} parts are done in this process",
            RuntimeWarning,
            stacklevel=2,
        )
        for number in left:
            yield number, here(parts[number])


def _from_workers(
    submits: Submits, parts: Sequence[Sequence[int]], question: tuple[str, str, tuple[str, ...], str]
) -> Iterator[tuple[int, list[str]]]:
    under_way: dict[Future[Any], tuple[int, int]] = {}
    todo = iter(range(len(parts)))

    def hand_out(number: int, tries: int) -> None:
        future = submits.submit(_answer_part, *question, list(parts[number]))
        under_way[future] = (number, tries)

    try:
        for number in itertools.islice(todo, _PARTS_UNDER_WAY):
            hand_out(number, 1)
        while under_way:
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                number, tries = under_way.pop(future)
                try:
                    records = future.result()
                except (InputError, BrokenExecutor):
                    raise
                except Exception:
                    if tries >= _TRIES:
                        raise
                    hand_out(number, tries + 1)
                    continue
                yield number, records
                for following in itertools.islice(todo, 1):
                    hand_out(following, 1)
    finally:
        for future in under_way:
            future.cancel()


def _question(
    scenario: str | os.PathLike[str] | Mapping[str, Any],
    catalog: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None,
) -> tuple[str, str, tuple[str, ...]]:
    if catalog is None:
        folders: tuple[str, ...] = ()
    elif isinstance(catalog, (str, os.PathLike)):
        folders = (os.fspath(catalog),)
    else:
        folders = tuple(os.fspath(folder) for folder in catalog)
    if isinstance(scenario, Mapping):
        # JSON is YAML.
        return json.dumps(scenario), "the scenario", folders
    place = os.fspath(scenario)
    try:
        return Path(place).read_text(encoding="utf-8"), place, folders
    except (OSError, UnicodeDecodeError) as cause:
        raise InputError(f"cannot read the scenario: {cause}", place, code="file") from cause


def iter_sweep(
    scenario: str | os.PathLike[str] | Mapping[str, Any],
    *,
    executor: Any = None,
    catalog: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
) -> Iterator[Case]:
    """The cases of a scenario in its order, each as soon as those before it are there; nothing is written.

    Args:
        scenario: A scenario file, or its content as a mapping.
        executor: What answers parts of it: an executor of ``concurrent.futures``, a Dask client, the module ``ray``;
            threads of this process when left out.
        catalog: Folders of your own GPUs, clusters, engines and models.

    Raises:
        InputError: The scenario is wrong, or a worker has another shardfit.
    """
    question = _question(scenario, catalog)
    sweep = _read(*question)
    parts = _parts(sweep.sizes, range(len(sweep.sizes)))
    ready: dict[int, list[str]] = {}
    columns = _native.Sweep.columns()
    following = 0
    for number, records in _answers(sweep, parts, sweep.answer, _submits(executor), question):
        ready[number] = records
        while following in ready:
            for record in ready.pop(following):
                for cells in json.loads(record)["cases"]:
                    yield dict(zip(columns, cells))
            following += 1


def sweep(
    scenario: str | os.PathLike[str] | Mapping[str, Any],
    *,
    output: str | os.PathLike[str] | None = None,
    executor: Any = None,
    resume: bool = False,
    compare: str | os.PathLike[str] | None = None,
    catalog: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    progress: bool | Callable[[int, int], None] = False,
) -> SweepResult:
    """Answers every case of a scenario.

    The files in ``output`` are the same, byte for byte, as those of ``shardfit sweep``, whoever answered the parts.

    Args:
        scenario: A scenario file, or its content as a mapping.
        output: Folder for the results; none is kept when left out.
        executor: What answers parts of it: an executor of ``concurrent.futures``, a Dask client, the module ``ray``;
            threads of this process when left out.
        resume: Go on with the run in ``output`` that was stopped.
        compare: The ``results.csv`` of an earlier review: the report says what has changed since.
        catalog: Folders of your own GPUs, clusters, engines and models.
        progress: True for a bar (needs tqdm), or a function of the cases done and the cases of all.

    Raises:
        InputError: The scenario is wrong, the folder holds another run, or a worker has another shardfit.
    """
    question = _question(scenario, catalog)
    asked = _read(*question)
    if output is None:
        if resume or compare is not None:
            raise InputError("without a folder there is nothing to go on with or to compare", "output")
        with tempfile.TemporaryDirectory(prefix="shardfit-") as scratch:
            return _run(asked, question, Path(scratch), None, executor, False, None, progress)
    folder = Path(output)
    earlier = None if compare is None else Path(compare)
    return _run(asked, question, folder, folder, executor, resume, earlier, progress)


def _run(
    asked: _native.Sweep,
    question: tuple[str, str, tuple[str, ...]],
    folder: Path,
    kept: Path | None,
    executor: Any,
    resume: bool,
    compare: Path | None,
    progress: bool | Callable[[int, int], None],
) -> SweepResult:
    submits = _submits(executor)
    run = asked.begin(folder, resume)
    sizes, done = asked.sizes, run.done
    parts = _parts(sizes, run.left)
    said, finish = _progress(progress, sum(sizes))
    try:
        said(done)
        for number, records in _answers(asked, parts, asked.answer, submits, question):
            for record in records:
                run.add(record)
            done += sum(sizes[group] for group in parts[number])
            said(done)
        found, note = run.write(compare)
    finally:
        run.close()
        finish()
    with open(folder / "results.jsonl", encoding="utf-8") as lines:
        cases: list[Case] = [json.loads(line) for line in lines]
    return SweepResult(asked.name, kept, cases, found, note)


def _progress(
    progress: bool | Callable[[int, int], None], cases: int
) -> tuple[Callable[[int], None], Callable[[], None]]:
    if callable(progress):
        told = progress
        return (lambda done: told(done, cases)), (lambda: None)
    if not progress:
        return (lambda done: None), (lambda: None)
    from tqdm.auto import tqdm

    bar = tqdm(total=cases, unit="cases")

    def said(done: int) -> None:
        bar.update(done - bar.n)

    return said, bar.close
