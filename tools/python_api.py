"""Writes crates/python/shardfit/commands.py and rows.py: the functions and the rows of the Python package, from what
the compiled module says of its requests and columns. `--check` compares instead of writing.

    pip install . && python tools/python_api.py
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent.parent / "crates" / "python" / "shardfit"
if any(each.suffix in (".so", ".pyd") for each in PACKAGE.glob("_native*")):
    sys.path.insert(0, str(PACKAGE.parent))

from shardfit import _native  # noqa: E402

HEAD = "# Written by tools/python_api.py from what the compiled module says of itself.\n"

ANSWERS = {
    "plan": "PlanAnswer",
    "estimate": "EstimateAnswer",
    "size": "SizeAnswer",
    "simulate": "SimulateAnswer",
    "inspect": "InspectAnswer",
    "train": "TrainAnswer",
    "budget": "BudgetAnswer",
    "fit": "FitAnswer",
    "emit": "EmitAnswer",
}

ROWS = {
    "Plan": ("plan", "A deployment with its figures."),
    "Fleet": ("fleet", "Replicas that serve a rate."),
    "RunningModel": ("fit", "A model that runs on a machine, and how."),
    "TrainingPlan": ("training", "A way to divide training over GPUs, with its figures."),
}

KINDS = {"text": "str", "integer": "int", "real": "float"}

# What the package says itself, or decides for its user.
LEFT_OUT = {"schema_version", "config"}


def type_of(schema: dict[str, Any]) -> list[str]:
    """The Python types that a JSON Schema allows."""
    if "anyOf" in schema:
        return [t for each in schema["anyOf"] for t in type_of(each)]
    if "const" in schema or "enum" in schema:
        return ["str"]
    names = schema.get("type", "object")
    types: list[str] = []
    for name in names if isinstance(names, list) else [names]:
        match name:
            case "string":
                types.append("str")
            case "integer":
                types.append("int")
            case "number":
                types.append("float")
            case "boolean":
                types.append("bool")
            case "array":
                of = " | ".join(type_of(schema.get("items", {})))
                types.append(f"Sequence[{of}]")
            case "object":
                values = schema.get("additionalProperties")
                of = " | ".join(type_of(values)) if isinstance(values, dict) else "Any"
                types.append(f"Mapping[str, {of}]")
            case "null":
                pass
    return types


def wrapped(text: str, indent: str, hanging: str) -> str:
    return textwrap.fill(
        text.replace("`", "``"),
        width=100,
        initial_indent=indent,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def function(name: str, about: str) -> str:
    schema = json.loads(_native.schema(name))
    fields = {field: of for field, of in schema["properties"].items() if field not in LEFT_OUT}
    first = "model" if "model" in fields else None
    lines = [f"def {name}("]
    if first:
        lines.append("    model: Model | None = None,")
    lines.append("    *,")
    rest = {field: of for field, of in fields.items() if field != first}
    for field, of in rest.items():
        # Several questions have several answers: in Python they are asked one by one.
        of = of["anyOf"][0] if of.get("x-compared") else of
        types = " | ".join(dict.fromkeys(type_of(of)))
        lines.append(f"    {field}: {types} | None = None,")
    lines.append("    catalog: Folders | None = None,")
    lines.append(f") -> {ANSWERS[name]}:")
    lines.append(f'    """{about}.')
    lines.append("")
    lines.append("    Args:")
    for field, of in fields.items():
        said = " ".join(of.get("description", "").split())
        if field == first:
            said = said.rstrip(".") + ", as in ``config``; or what a config.json holds, or a configuration of Transformers."
            said = said.replace(", as in ``config``", "")
        lines.append(wrapped(f"{field}: {said}", " " * 8, " " * 12))
    lines.append(wrapped(
        "catalog: Folder, or folders, of your own gpus/, clusters/, classes/, engines/ and models/, over those built in.",
        " " * 8, " " * 12,
    ))
    lines.append("")
    lines.append("    Raises:")
    lines.append("        InputError: What is wrong with the question, where, and what would mend it.")
    lines.append('    """')
    lines.append("    fields: dict[str, Any] = {")
    lines.extend(f'        "{field}": {field},' for field in rest)
    lines.append("    }")
    model = "model" if first else "None"
    lines.append(f'    return {ANSWERS[name]}(ask("{name}", {model}, fields, catalog))')
    return "\n".join(lines)


def commands() -> str:
    body = "\n\n\n".join(function(name, about) for name, about in _native.commands())
    answers = "\n".join(f"    {answer}," for answer in sorted(ANSWERS.values()))
    return f'''{HEAD}"""The commands: a question as arguments, its answer as an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shardfit.answers import (
{answers}
)
from shardfit.asking import Folders, Model, ask

{body}
'''


def rows() -> str:
    classes: list[str] = []
    for name, (of, about) in ROWS.items():
        groups: dict[str, list[tuple[str, str, str]]] = {}
        own: list[tuple[str, str, str]] = []
        for column, group, kind, meaning in _native.columns(of):
            (own if group is None else groups.setdefault(group, [])).append((column, kind, meaning))
        parts = {group: "".join(word.title() for word in [name, *group.split("_")]).replace("Trainingplan", "TrainingPlan") for group in groups}
        for group, columns in groups.items():
            classes.append(record(parts[group], f"The object `{group}` of a `{name}`.", columns, {}))
        classes.append(record(name, about, own, parts))
    body = "\n\n\n".join(classes)
    return f'''{HEAD}"""The rows of answers: what each figure means, with its unit in its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from shardfit.records import Record

{body}
'''


def record(name: str, about: str, columns: list[tuple[str, str, str]], parts: dict[str, str]) -> str:
    lines = [f"class {name}(Record):", f'    """{about.replace("`", "``")}', "", "    Attributes:"]
    for column, kind, meaning in columns:
        said = meaning[:1].upper() + meaning[1:]
        lines.append(wrapped(f"{column}: {said}.", " " * 8, " " * 12))
    lines.extend(f"        {group}: See ``{of}``." for group, of in parts.items())
    lines += ['    """', "", "    __slots__ = ()", ""]
    # Any figure may be missing: of a GPU without a price, of a plan that is not split.
    lines.extend(f"    {column}: {KINDS[kind]} | None" for column, kind, _ in columns)
    lines.extend(f"    {group}: {of}" for group, of in parts.items())
    if parts:
        of = ", ".join(f'"{group}": {part}' for group, part in parts.items())
        lines += ["", f"    _parts: ClassVar[Mapping[str, type[Record]]] = {{{of}}}"]
    return "\n".join(lines)


def main() -> int:
    stale = []
    for name, text in {"commands.py": commands(), "rows.py": rows()}.items():
        path = PACKAGE / name
        if "--check" in sys.argv:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"{name} is not what the module says of itself; run tools/python_api.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
