"""What each command answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from shardfit.records import Answer, Ranked, Record
from shardfit.rows import Fleet, Plan, RunningModel, TrainingPlan


class Space(Record):
    """How many plans there were, and what became of them.

    Attributes:
        plans: Plans in the space.
        illegal: Plans that break a rule of the model, the engine or the cluster.
        out_of_memory: Plans that do not fit.
        target_missed: Plans that fit and miss a target.
        feasible: Plans that are an answer.
        dominated: Plans that were not looked at since they are proven to be no better than others.
        unseen: Plans that were not looked at since the search was stopped.
        stopped: ``complete``, ``time_limit`` or ``interrupted``.
    """

    __slots__ = ()

    plans: int
    illegal: int
    out_of_memory: int
    target_missed: int
    feasible: int
    dominated: int
    unseen: int
    stopped: str


class Rejected(Record):
    """Plans that fell for one reason.

    Attributes:
        reason: Name of the reason.
        count: Plans that it took.
        nearest_miss: The plan that came closest, and what it lacked.
    """

    __slots__ = ()

    reason: str
    count: int
    nearest_miss: Record


class NamedPlan(Plan):
    """A plan that is best in its own way, with the figures of a ``Plan``.

    Attributes:
        meaning: What it is best at.
    """

    __slots__ = ()

    meaning: str


class NamedPlans(Record):
    """Three ways to be best, where no limit and no objective says what to be best at.

    Attributes:
        fastest: Least time per token.
        balanced: The knee of the front of a user's speed against a GPU's throughput.
        most_throughput: Most tokens per second.
    """

    __slots__ = ()

    _parts: ClassVar[Mapping[str, type[Record]]] = {
        "fastest": NamedPlan,
        "balanced": NamedPlan,
        "most_throughput": NamedPlan,
    }

    fastest: NamedPlan
    balanced: NamedPlan
    most_throughput: NamedPlan


class PlanAnswer(Ranked):
    """Plans, ranked, with the reasons why others fell.

    Attributes:
        schema_version: Version of the form of answers.
        model: The model.
        recognised: Whether its architecture is one that shardfit knows.
        cluster: The cluster.
        workload: Lengths, load and targets.
        space: What became of the plans.
        named: Three plans to begin with, where no limit is; absent where there is one.
        plans: The best plan of each layout, in order; empty where nothing is feasible.
        pareto: Plans of which none is better in both tokens per second of a user and of a GPU.
        rejected: Why plans fell.
        advice: What would make the question answerable, where nothing is feasible.
        notes: What to know of the answer.
    """

    __slots__ = ()

    _parts: ClassVar[Mapping[str, type[Record]]] = {
        "space": Space,
        "named": NamedPlans,
        "plans": Plan,
        "pareto": Plan,
        "rejected": Rejected,
    }

    schema_version: int
    model: str
    recognised: bool
    cluster: str
    workload: Record
    space: Space
    named: NamedPlans
    plans: list[Plan]
    pareto: list[Plan]
    rejected: list[Rejected]
    advice: list[Record]
    notes: list[str]


class EstimateAnswer(Plan, Answer):
    """One plan in every detail: the figures of a ``Plan``, and beside them

    Attributes:
        schema_version: Version of the form of answers.
        model: The model.
        recognised: Whether its architecture is one that shardfit knows.
        cluster: The cluster.
        workload: Lengths, load and targets.
        feasible: Whether it is an answer: it fits and holds the targets.
        reasons: Why it is none.
        room: What there is room for beside it.
        notes: What to know of the answer.
    """

    __slots__ = ()

    schema_version: int
    model: str
    recognised: bool
    cluster: str
    workload: Record
    feasible: bool
    reasons: list[Record]
    room: Record
    notes: list[str]


class SizeAnswer(Answer):
    """Fleets that serve a rate, the best first.

    Attributes:
        schema_version: Version of the form of answers.
        model: The model.
        workload: Lengths, load and targets.
        rate_per_s: Requests per second that are served.
        headroom_percent: Capacity above the rate.
        spare_replicas: Replicas beyond those needed.
        fleets: The fleets.
        calibrated_runner_up: The best fleet on a GPU with measurements, where the first is on one without.
        none: Kinds of GPUs of which no fleet serves, with the reason.
        growth: The fleet of each month of a forecast.
        notes: What to know of the answer.
    """

    __slots__ = ()

    _rows = "fleets"
    _parts: ClassVar[Mapping[str, type[Record]]] = {"fleets": Fleet, "calibrated_runner_up": Fleet}

    schema_version: int
    model: str
    workload: Record
    rate_per_s: float
    headroom_percent: float
    spare_replicas: int
    fleets: list[Fleet]
    calibrated_runner_up: Fleet | None
    none: list[Record]
    growth: list[Record]
    notes: list[str]


class Spread(Record):
    """A time over all requests that count, in milliseconds: its mean and percentiles."""

    __slots__ = ()

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float


class SimulateAnswer(Answer):
    """What a simulation came to.

    Attributes:
        schema_version: Version of the form of answers.
        model: The model.
        cluster: The cluster.
        engine: The engine.
        overloaded: Whether requests came faster than they were served.
        ttft_ms: Time to first token.
        tpot_ms: Time per output token after the first, of each request.
        itl_ms: Time between tokens.
        e2e_ms: Time from request to last token.
        requests: Requests that count.
        good_requests: Those of them within every target.
        preemptions: Sequences that gave up their cache for others.
        requests_per_s: Requests that ended in a second.
        goodput_requests_per_s: Those of them within every target.
        output_tokens_per_s: Tokens that were put out in a second.
        notes: What to know of the answer.
    """

    __slots__ = ()

    _parts: ClassVar[Mapping[str, type[Record]]] = {
        "ttft_ms": Spread,
        "tpot_ms": Spread,
        "itl_ms": Spread,
        "e2e_ms": Spread,
    }

    schema_version: int
    model: str
    cluster: str
    engine: str
    overloaded: bool
    ttft_ms: Spread
    tpot_ms: Spread
    itl_ms: Spread
    e2e_ms: Spread
    requests: int
    good_requests: int
    preemptions: int
    requests_per_s: float
    goodput_requests_per_s: float
    output_tokens_per_s: float
    notes: list[str]


class InspectAnswer(Answer):
    """A model taken apart: counts of parameters, bytes, FLOPs; several models where several were asked about."""

    __slots__ = ()


class TrainAnswer(Answer):
    """Training plans, ranked, with the reasons why others fell.

    Attributes:
        model: The model.
        cluster: The cluster.
        framework: The training framework.
        global_batch: Sequences of a step.
        sequence: Tokens of a sequence.
        space: What became of the plans.
        plans: The best plans, in order; empty where nothing is feasible.
        rejected: Why plans fell.
    """

    __slots__ = ()

    _rows = "plans"
    _parts: ClassVar[Mapping[str, type[Record]]] = {"plans": TrainingPlan}

    model: str
    cluster: str
    framework: str
    global_batch: int
    sequence: int
    space: Record
    plans: list[TrainingPlan]
    rejected: list[Record]


class BudgetAnswer(Answer):
    """How large a model a budget buys: parameters, tokens, loss."""

    __slots__ = ()


class FitAnswer(Answer):
    """Models that run on a machine, ranked, and what would make the next better ones run.

    Attributes:
        cluster: The machine.
        gpu: Its GPU.
        gpus: How many it has.
        engines: Engines that may run there.
        context: Tokens of the longest conversation that must find room.
        measure: What models are ranked by: title, date, source; ``None`` where nothing is published of their task.
        considered: Models that the filters let through.
        running: Models of these that run.
        models: The best of them, a row a model, or a way where every way is asked for.
        front: Models that no other beats in both score and speed.
        next_better: Better models that do not run: why, and changes with which they do, each tried.
        fallen: Why models do not run, with counts.
        notes: What to know of the figures.
    """

    __slots__ = ()

    _rows = "models"
    _parts: ClassVar[Mapping[str, type[Record]]] = {"models": RunningModel}

    cluster: str
    gpu: str
    gpus: int
    engines: list[str]
    context: int
    measure: Record | None
    considered: int
    running: int
    models: list[RunningModel]
    front: list[str]
    next_better: list[Record]
    fallen: list[Record]
    notes: list[str]


class LaunchFile(Record):
    """A file that starts a plan.

    Attributes:
        name: Its name.
        text: What it holds.
    """

    __slots__ = ()

    name: str
    text: str


class EmitAnswer(Answer):
    """The files that start a plan: commands, manifests.

    Attributes:
        schema_version: Version of the form of answers.
        files: The files.
    """

    __slots__ = ()

    _rows = "files"
    _parts: ClassVar[Mapping[str, type[Record]]] = {"files": LaunchFile}

    schema_version: int
    files: list[LaunchFile]

    def write(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Writes the files to a folder, which is made if it does not exist, and gives their paths."""
        home = Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        paths: list[Path] = []
        for file in self.files:
            path = home / file.name
            path.write_text(file.text, encoding="utf-8")
            paths.append(path)
        return paths

    def __str__(self) -> str:
        return "\n".join(file.text for file in self.files)
