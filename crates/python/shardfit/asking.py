"""How a question goes to the compiled module: arguments as a request in JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from shardfit import _native
from shardfit.errors import InputError


class HasDict(Protocol):
    """A configuration that can say itself as a dictionary, as those of Transformers do."""

    def to_dict(self) -> dict[str, Any]:
        """What its config.json holds."""
        ...


Model = str | os.PathLike[str] | Mapping[str, Any] | HasDict
"""A model: a name, a path, what a config.json holds, or a configuration of Transformers."""

Folders = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A folder or several."""


def folders(given: Folders | None) -> list[str]:
    """Folders as paths."""
    if given is None:
        return []
    if isinstance(given, (str, os.PathLike)):
        return [os.fspath(given)]
    return [os.fspath(folder) for folder in given]


def _plain(value: Any) -> Any:
    """What JSON has no form for, as what it means."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset, range)):
        return list(value)
    # Numbers of numpy say themselves as Python's.
    item = getattr(value, "item", None)
    if callable(item):
        return item()
    raise InputError(f"a {type(value).__name__} is nothing that a question holds", code="syntax")


def ask(command: str, model: Model | None, fields: Mapping[str, Any], catalog: Folders | None) -> dict[str, Any]:
    """The answer of a command, as its JSON."""
    request = {name: value for name, value in fields.items() if value is not None}
    if isinstance(model, (str, os.PathLike)):
        request["model"] = os.fspath(model)
    elif isinstance(model, Mapping):
        request["config"] = dict(model)
    elif model is not None:
        to_dict = getattr(model, "to_dict", None)
        if not callable(to_dict):
            raise InputError(
                f"a {type(model).__name__} is no model",
                "model",
                "a name, a path, a dictionary as in config.json, or a configuration of Transformers",
            )
        request["config"] = to_dict()
    try:
        text = json.dumps(request, default=_plain, allow_nan=False)
    except (TypeError, ValueError) as cause:
        if isinstance(cause, InputError):
            raise
        raise InputError(f"the question cannot be written as JSON: {cause}", code="syntax") from cause
    answer = json.loads(_native.answer(command, text, folders(catalog)))
    if isinstance(answer, list):
        raise InputError("a list of values asks several questions", None, "ask them one by one, in a loop")
    return dict(answer)
