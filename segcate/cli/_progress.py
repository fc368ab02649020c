"""Say on stderr what is being done, and that long work is still going on."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from segcate._writing.label_texts import one_line

SECONDS_BETWEEN = 15.0


class Progress:
    """Say on stderr what is being done, with the seconds since the start."""

    def __init__(self, quiet: bool = False) -> None:
        self._start = time.perf_counter()
        self._quiet = quiet

    def __call__(self, text: str) -> None:
        """Print one line."""
        if not self._quiet:
            seconds = time.perf_counter() - self._start
            print(f"[{seconds:6.1f} s] {one_line(text)}", file=sys.stderr, flush=True)

    @contextmanager
    def during(self, text: str) -> Iterator[None]:
        """Print a line before some work, and another one every few seconds while it goes on."""
        self(text)
        is_done = threading.Event()

        def remind() -> None:
            while not is_done.wait(SECONDS_BETWEEN):
                self(f"still {text}")

        thread = threading.Thread(target=remind, daemon=True)
        if not self._quiet:
            thread.start()
        try:
            yield
        finally:
            is_done.set()


@contextmanager
def warnings_as_notes(progress: Progress) -> Iterator[None]:
    """Show warnings as notes, each once, instead of Python's two lines with a path."""
    seen: set[str] = set()

    def show(message: Any, *args: Any, **kwargs: Any) -> None:
        text = " ".join(str(message).split())
        if text not in seen:
            seen.add(text)
            progress(f"note: {text}")

    with warnings.catch_warnings():
        # The command line has looked at these columns itself, and at all rows.
        warnings.filterwarnings("ignore", message=".*probably measured after the treatment")
        warnings.showwarning = show
        yield
