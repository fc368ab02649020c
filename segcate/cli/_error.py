"""The command line's own error."""

from __future__ import annotations

__all__ = ["UserError"]


class UserError(ValueError):
    """Tell the user what is wrong with the call or the file; shown without a traceback."""
