"""Import libraries whose import warns, and sets a matplotlib style for everyone."""

from __future__ import annotations

import importlib
import logging
import warnings
from typing import Any

import pytest


def import_or_skip(name: str, why: str) -> Any:
    """Import a module without its warnings and side effects, or skip the tests of this file."""
    try:
        import matplotlib as mpl
    except ImportError:
        mpl = None
    style = None if mpl is None else mpl.rcParams.copy()
    logging.getLogger("duecredit").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            pytest.skip(f"{why} ({error})", allow_module_level=True)
        finally:
            if mpl is not None:
                mpl.rcParams.update(style)
    return module


def import_causalml(part: str) -> Any:
    """Import a part of causalml, which has no wheels for Python 3.13 and later."""
    return import_or_skip(f"causalml.inference.{part}", "needs causalml (Python below 3.13)")


def import_econml(part: str) -> Any:
    """Import a part of EconML, which names the newest scikit-learn and numpy it takes."""
    return import_or_skip(f"econml.{part}", "needs EconML: pip install segcate[econml]")
