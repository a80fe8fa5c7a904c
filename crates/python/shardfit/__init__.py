"""shardfit"""
from shardfit.errors import InputError
from shardfit.sweeps import SweepResult, iter_sweep, sweep
