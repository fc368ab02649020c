"""The command line: `segcate run FILE ...` and `segcate demo`."""

from segcate.cli._main import main

__all__ = ["main"]
