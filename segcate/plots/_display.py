"""What all displays have in common: axes, kept marks, styles, texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from segcate.plots._drawing import FONT, WIDTH, measure, open_axes, text_size, write_texts
from segcate.plots._fonts import families_for

# Other spellings of the properties that marks have here: short ones, and those of collections.
_SPELLINGS = {
    "c": "color",
    "colors": "color",
    "ec": "edgecolor",
    "edgecolors": "edgecolor",
    "facecolors": "facecolor",
    "fc": "facecolor",
    "ha": "horizontalalignment",
    "linestyles": "linestyle",
    "linewidths": "linewidth",
    "ls": "linestyle",
    "lw": "linewidth",
    "mec": "markeredgecolor",
    "mew": "markeredgewidth",
    "mfc": "markerfacecolor",
    "ms": "markersize",
    "size": "fontsize",
    "va": "verticalalignment",
}


class Display:
    """Base class of the displays.

    A subclass stores its parameters in `__init__` and draws in ``plot(ax=None, *, ...)``. For each
    kind of mark, such as ``line``, `plot` takes the keyword ``line_kw``: None, or a dict of
    matplotlib properties that replace the default ones. The marks are kept as the list ``line_``.

    `plot` checks the numbers, calls `_open`, draws each mark by `_mark`, and calls `_write`.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    """

    title: str | None = None
    units: str | None = None
    ax_: Any
    figure_: Any
    _styles: dict[str, dict[str, Any]]

    def _open(self, ax: Any, height: float, width: float = WIDTH, **styles: Any) -> Any:
        """Open axes and a list for each kind of mark.

        Parameters
        ----------
        ax : matplotlib Axes, or None for those of a new figure
        height, width : of a new figure, in inches
        **styles : properties of each kind of mark, None for the default ones
        """
        owner = type(self).__name__
        self._styles = {kind: _properties(owner, kind, given) for kind, given in styles.items()}
        ax = open_axes(owner, ax, height, width)
        self.ax_, self.figure_ = ax, ax.figure
        for kind in styles:
            setattr(self, f"{kind}_", [])
        return ax

    def _style(self, kind: str, **default: Any) -> dict[str, Any]:
        """Return the properties of a kind of mark; a color of the user is that of edge and face."""
        given = self._styles[kind]
        if "color" in given:
            default = {k: v for k, v in default.items() if k not in ("facecolor", "edgecolor")}
        return {**default, **given}

    def _mark(self, kind: str, draw: Callable[..., Any], *where: Any, **default: Any) -> Any:
        """Draw a mark and keep it."""
        try:
            drawn = draw(*where, **self._style(kind, **default))
        except AttributeError as error:
            if not self._styles[kind]:
                raise
            raise ValueError(
                f"{type(self).__name__}.plot: `{kind}_kw` must hold properties that matplotlib knows for it; got "
                f"{sorted(self._styles[kind])}. {error}"
            ) from error
        getattr(self, f"{kind}_").extend(drawn if isinstance(drawn, list) else [drawn])
        return drawn

    def _write(self, label: str, notes: list[str], default_title: str) -> None:
        """Write the label of the x axis, notes below it and the title; to be called last."""
        write_texts(self.ax_, label, notes, self.title, default_title)

    def _write_key(
        self, entries: list[tuple[dict[str, Any], str]], y: float, where: Any, size: float = FONT
    ) -> None:
        """Say in one line which mark is which; the first coordinate is a share of the width."""
        ax, x = self.ax_, 0.015
        measure(ax)
        wide = float(ax.get_window_extent().width)
        step = 1.3 * size * ax.figure.dpi / 72 / wide
        for style, text in entries:
            ax.plot([x], [y], transform=where, **style)
            ink = style["color"]
            font = {"fontsize": size, "family": families_for(text)}
            ax.text(x + step, y, text, transform=where, color=ink, va="center", **font)
            x += 3.0 * step + text_size(ax, text, size)[0] / wide

    @property
    def _units(self) -> str:
        return self.units or "units of y"


def _properties(owner: str, kind: str, given: Any) -> dict[str, Any]:
    """Check the properties that a user gave to a kind of mark, and spell them in one way."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(
            f"{owner}.plot: `{kind}_kw` must be None or a dict of matplotlib properties; got "
            f"{given!r}. Pass such as {kind}_kw={{'color': 'black'}}."
        )
    return {_SPELLINGS.get(str(name), str(name)): value for name, value in given.items()}
