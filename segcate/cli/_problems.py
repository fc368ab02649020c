"""What a user is told when a call or a file cannot be used: one line a problem, all of them at once."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

_PLAIN = re.compile(r"[\w%+,./:@^=-]+")


def shell_word(text: object) -> str:
    """Write a text as one word of a command, in quotes where it needs them."""
    word = str(text)
    return word if _PLAIN.fullmatch(word) else shlex.quote(word)


def shell_list(names: Iterable[str]) -> str:
    """Write names as an option takes several: A,B, those with a comma in double quotes."""
    return shell_word(",".join(f'"{name}"' if "," in name else name for name in names))


class UserError(ValueError):
    """Tell the user what is wrong with the call or the file; shown without a traceback.

    Parameters
    ----------
    *lines : str
        One sentence or two a problem: what was found, what is allowed, and the option that mends it.
    """

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


class Problems:
    """Collect problems, and raise all of them together."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, line: str) -> None:
        """Note a problem; one that is known is not said twice."""
        if line not in self._lines:
            self._lines.append(line)

    def extend(self, lines: Iterable[str]) -> None:
        """Note several problems."""
        for line in lines:
            self.add(line)

    def stop(self) -> None:
        """Raise a `UserError` if there is any problem."""
        if self._lines:
            raise UserError(*self._lines)
