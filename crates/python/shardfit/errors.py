"""What can be wrong with a question."""

from __future__ import annotations


class InputError(ValueError):
    """Wrong input: what is wrong, where, and what would mend it.

    Attributes:
        cause: One sentence that says what is wrong.
        place: The argument, file, line or field at fault, where there is one.
        help: What is allowed, or the nearest valid name, where that is known.
        code: The kind of fault: ``unknown-name``, ``file``, ``syntax``, ``model``, ``catalog``, ``range``, ``usage``
            or ``hub``.
    """

    cause: str
    place: str | None
    help: str | None
    code: str

    def __init__(
        self, cause: str, place: str | None = None, help: str | None = None, code: str = "usage"
    ) -> None:
        super().__init__(cause, place, help, code)
        self.cause = cause
        self.place = place
        self.help = help
        self.code = code

    def __str__(self) -> str:
        said = self.cause if self.place is None else f"{self.cause}\n  at: {self.place}"
        return said if self.help is None else f"{said}\n  help: {self.help}"
