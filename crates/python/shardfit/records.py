"""Answers as objects: fields are attributes, and everything is the JSON of the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar


from shardfit import _html

if TYPE_CHECKING:
    import pandas
    import polars
    from matplotlib.axes import Axes
    from typing_extensions import Self


class Record(Mapping[str, Any]):
    """A JSON object whose fields are attributes too: ``plan.tpot_ms`` is ``plan["tpot_ms"]``. Read-only."""

    __slots__ = ("_fields",)

    _parts: ClassVar[Mapping[str, type[Record]]] = {}
    """What the objects of a field are, and those of a list."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_fields", dict(fields))

    def __getitem__(self, name: str) -> Any:
        return self._wrap(name, self._fields[name])

    def _wrap(self, name: str, value: Any) -> Any:
        of = self._parts.get(name, Record)
        if isinstance(value, dict):
            return of(value)
        if isinstance(value, list):
            return [of(each) if isinstance(each, dict) else each for each in value]
        return value

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            known = ", ".join(self._fields)
            raise AttributeError(f"{type(self).__name__} has no `{name}`; it has {known}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("an answer is not changed")

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._fields]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Record):
            return bool(self._fields == other._fields)
        return bool(self._fields == other)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[Self], tuple[dict[str, Any]]]:
        return type(self), (self._fields,)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._fields.items() if _is_short(value))
        return f"{type(self).__name__}({shown})"

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain dictionaries and lists: what ``--format json`` prints."""
        copy: dict[str, Any] = json.loads(json.dumps(self._fields))
        return copy

    def to_json(self, indent: int | None = 2) -> str:
        """The fields as JSON text."""
        return json.dumps(self._fields, indent=indent, ensure_ascii=False)


def _is_short(value: Any) -> bool:
    return value is not None and not isinstance(value, (dict, list))


def flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of nested objects beside the others, by their own names; lists are left out."""
    row: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            row.update(flat(value))
        elif not isinstance(value, list):
            row[name] = value
    return row


class Answer(Record):
    """An answer with rows: plans, fleets, parts of a model."""

    __slots__ = ()

    _rows: ClassVar[str | None] = None
    """The field that holds the rows; the answer itself is the one row where there is none."""

    _shown: ClassVar[tuple[str, ...]] = ()
    """Columns that a notebook shows; all when empty."""

    def rows(self) -> list[dict[str, Any]]:
        """What a table of the answer holds, a dictionary a row."""
        rows = [self._fields] if self._rows is None else self._fields.get(self._rows) or []
        return [flat(row) for row in rows]

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a table of pandas, which has to be there."""
        import pandas

        return pandas.DataFrame(self.rows())

    def to_polars(self) -> polars.DataFrame:
        """The rows as a table of polars, which has to be there."""
        import polars

        return polars.DataFrame(self.rows(), infer_schema_length=None)

    def _caption(self) -> str:
        said = [self._fields.get(name) for name in ("model_asked", "model", "cluster")]
        return " on ".join(str(word) for word in dict.fromkeys(said) if word)

    def _repr_html_(self) -> str:
        rows = self.rows()
        if not rows:
            return _html.table(self._fields.get("rejected") or [], f"{self._caption()}: nothing is feasible")
        return _html.table(rows, self._caption(), self._shown or None)


_ACROSS, _UP = "output_tokens_per_s_per_user", "output_tokens_per_s_per_gpu"


class Ranked(Answer):
    """An answer with a ranking and a front of speed for each user against throughput of each GPU."""

    __slots__ = ()

    _rows = "plans"
    _shown = (
        "rank", "gpu", "engine", "weights", "kv", "tp", "pp", "ep", "attention_dp", "dcp", "replicas", "gpus",
        "batch", "ttft_ms", "tpot_ms", "e2e_ms", "output_tokens_per_s", "output_tokens_per_s_per_gpu",
        "cost_usd_per_mtok_output", "verdict", "provenance",
    )  # fmt: skip

    def _points(self) -> list[tuple[float, float, str]]:
        front = self._fields.get("pareto") or self._fields.get("plans") or []
        return [
            (
                point[_ACROSS],
                point[_UP],
                f"{point['replicas']} × tp{point['tp']} pp{point['pp']}, batch {point['batch']:g}: "
                f"TTFT {point['ttft_ms']:.0f} ms, TPOT {point['tpot_ms']:.1f} ms",
            )
            for point in front
            if point.get(_ACROSS) is not None and point.get(_UP) is not None
        ]

    def _repr_html_(self) -> str:
        picture = _html.front(self._points(), "tokens/s of a user", "tokens/s of a GPU")
        return super()._repr_html_() + picture

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws the front: tokens per second of a user across, of a GPU up. Needs matplotlib.

        Args:
            ax: Axes to draw in; new ones when left out.
        """
        if ax is None:
            import matplotlib.pyplot

            ax = matplotlib.pyplot.figure().add_subplot()
        points = sorted(self._points())
        ax.plot([x for x, _, _ in points], [y for _, y, _ in points], marker="o")
        ax.set_xlabel("tokens/s of a user")
        ax.set_ylabel("tokens/s of a GPU")
        ax.set_title(self._caption())
        return ax
