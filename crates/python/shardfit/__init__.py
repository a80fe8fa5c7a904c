"""Which configuration should I deploy?

    >>> import shardfit
    >>> answer = shardfit.plan("llama-3.1-70b", cluster="8xh100-sxm", isl=2048, osl=512, ttft="1s", tpot="50ms")
    >>> best = answer.plans[0]
    >>> best.tpot_ms <= 50
    True

Arguments are named as the options of the command line, with underscores; what is left out is answered for as there.
Answers are the JSON of ``--format json``, to the last bit, with fields as attributes; units stand in the names.
"""

from __future__ import annotations

from shardfit import _native
from shardfit.answers import (
    BudgetAnswer,
    EmitAnswer,
    EstimateAnswer,
    FitAnswer,
    InspectAnswer,
    LaunchFile,
    NamedPlan,
    NamedPlans,
    PlanAnswer,
    Rejected,
    SimulateAnswer,
    SizeAnswer,
    Space,
    Spread,
    TrainAnswer,
)
from shardfit.commands import budget, emit, estimate, fit, inspect, plan, simulate, size, train
from shardfit.describing import catalog, check, validate
from shardfit.errors import InputError
from shardfit.records import Answer, Record
from shardfit.rows import Fleet, Plan, RunningModel, TrainingPlan
from shardfit.sweeps import SweepResult, iter_sweep, sweep

__version__: str = _native.VERSION

__all__ = [
    "Answer",
    "BudgetAnswer",
    "EmitAnswer",
    "EstimateAnswer",
    "FitAnswer",
    "Fleet",
    "InputError",
    "InspectAnswer",
    "LaunchFile",
    "NamedPlan",
    "NamedPlans",
    "Plan",
    "PlanAnswer",
    "Record",
    "Rejected",
    "RunningModel",
    "SimulateAnswer",
    "SizeAnswer",
    "Space",
    "Spread",
    "SweepResult",
    "TrainAnswer",
    "TrainingPlan",
    "budget",
    "catalog",
    "check",
    "emit",
    "estimate",
    "fit",
    "inspect",
    "iter_sweep",
    "plan",
    "simulate",
    "size",
    "sweep",
    "train",
    "validate",
]
