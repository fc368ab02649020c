"""Inks, axes and texts of a display; every text fits its place."""

from __future__ import annotations

import textwrap
from typing import Any

from segcate._writing.label_texts import one_line, shortened
from segcate.plots._fonts import families_for, quiet_about_glyphs

INK = "#222222"
MAIN = "#1f4e79"
SECOND = "#b34d05"
PALE = "#aebdcb"
FONT, TITLE_FONT = 8.5, 9.5
WIDTH = 6.4
LARGEST_FONT, SMALLEST_FONT = 9.0, 3.5

_DPI = 150
_SHEET = "sheet"
_NARROW_AXIS = 2.2
_NAME_WIDTH = 28
_NAME_LINES = 2


def plain(text: Any) -> str:
    """Write text so that matplotlib shows its dollar signs instead of reading formulas.

    Breaks of lines stay; other control signs are written as their codes.
    """
    return "\n".join(one_line(line) for line in str(text).split("\n")).replace("$", r"\$")


def fit_name(name: Any, width: int = _NAME_WIDTH, lines: int = _NAME_LINES) -> str:
    """Break a long name into lines; what does not fit is cut from its middle."""
    text = " ".join(one_line(name).split())
    for longest in range(width * lines, width, -1):
        broken = textwrap.wrap(shortened(text, longest), width)
        if len(broken) <= lines:
            return plain("\n".join(broken))
    return plain(shortened(text, width))


def open_axes(owner: str, ax: Any, height: float, width: float = WIDTH) -> Any:
    """Return the axes to draw in: those given, or those of a new figure; no top and right spine.

    Matplotlib is imported here, and nowhere before something is drawn.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{owner}.plot needs matplotlib, which is not installed here. "
            "Install it with `pip install segcate[plot]`."
        ) from error
    if ax is None:
        _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    elif hasattr(ax, "add_subplot") and ax.get_label() == _SHEET:
        is_narrow = ax.get_figwidth() < WIDTH
        ax.set_size_inches(ax.get_figwidth() if is_narrow else width, height)
        ax = ax.add_subplot()
    elif not hasattr(ax, "spines"):
        raise TypeError(
            f"{owner}.plot: `ax` must be matplotlib Axes or None; got {type(ax).__name__}. Pass those of a "
            "figure, such as plt.subplots()[1]."
        )
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.tick_params(labelsize=FONT, colors=INK)
    return ax


def new_sheet(width: float) -> Any:
    """Return an empty figure apart from pyplot, to be given as `ax`; a display sets its height.

    One that is narrower than usual keeps its width.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(width, 1.0), layout="constrained")
    FigureCanvasAgg(sheet)
    sheet.set_label(_SHEET)
    return sheet


def save_png(figure: Any, path: Any) -> None:
    """Write a figure to a file; signs that no font has were told of when labels were chosen."""
    with quiet_about_glyphs():
        figure.savefig(path, dpi=_DPI)


def font_size(ax: Any, n_lines: float) -> float:
    """Return the largest size, in points, at which `n_lines` lines of text do not touch."""
    points_high = ax.get_window_extent().height / ax.figure.dpi * 72.0
    return float(min(LARGEST_FONT, max(SMALLEST_FONT, 0.72 * points_high / max(n_lines, 1.0))))


def name_rows(ax: Any, at: Any, names: list[str], size: float) -> None:
    """Name the rows of a plot on its left, without ticks and without a spine."""
    ax.set_yticks(at, names, fontsize=size, color=INK, family=families_for(*names))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def write_beside(ax: Any, x: float, y: float, text: str, size: float, **style: Any) -> Any:
    """Write a text beside row `y`; `x` is a share of the width of the axes. Return the text."""
    return ax.text(
        x, y, text, transform=ax.get_yaxis_transform(), fontsize=size, color=INK,
        verticalalignment="center", family=families_for(text), **style,
    )  # fmt: skip


def write_texts(ax: Any, label: str, notes: list[str], title: str | None, default: str) -> None:
    """Write the label of the x axis, notes below it, and the title above.

    All lines start at the left end of the axes and are broken before the edge of the figure, or of
    the axes where the figure holds others. Call it last: it looks at how wide the axes have become.
    """
    lines = [plain(line) for line in (label, *notes) if line]
    heading = plain(default if title is None else title)
    ax.set_xlabel("", loc="left", fontsize=FONT, color=INK, family=families_for(*lines))
    measure(ax)
    room = _room(ax)
    ax.xaxis.label.set_text("\n".join(_broken(ax, line, FONT, room) for line in lines))
    heading = _broken(ax, heading, TITLE_FONT, room)
    family = families_for(heading)
    ax.set_title(heading, loc="left", fontsize=TITLE_FONT, color=INK, family=family)


def fit_in_room(ax: Any, text: Any) -> None:
    """Break a text that begins at the left end of laid out axes into two lines at most."""
    lines = _broken(ax, text.get_text(), text.get_fontsize(), 0.97 * _room(ax)).splitlines()
    if len(lines) > 2:
        lines = [lines[0], shortened(" ".join(lines[1:]), len(lines[0]))]
    text.set_text("\n".join(lines))


def measure(ax: Any) -> None:
    """Lay the figure out, so that sizes are those of the picture."""
    with quiet_about_glyphs():
        ax.figure.draw_without_rendering()


def fewer_ticks(ax: Any) -> None:
    """Set fewer ticks on an x axis that is too narrow for six; to be called when it is laid out."""
    inches = float(ax.get_window_extent().width / ax.figure.dpi)
    if inches < _NARROW_AXIS:
        ax.locator_params(axis="x", nbins=max(2, int(inches / 0.5)))


def write_side(ax: Any, text: str) -> None:
    """Write the label of the y axis."""
    ax.set_ylabel(plain(text), fontsize=FONT, color=INK, family=families_for(text))


def _room(ax: Any) -> float:
    """Pixels from the left end of the axes to where lines must end."""
    box = ax.get_window_extent()
    others = [other for other in ax.figure.axes if other.get_label() != "<colorbar>"]
    is_alone = len(others) == 1
    end = ax.figure.bbox.x1 - 4.0 if is_alone else box.x1
    return float(end - box.x0)


def text_size(ax: Any, text: str, size: float) -> tuple[float, float]:
    """Measure width and height of a text in pixels."""
    probe = ax.text(0.0, 0.0, text, fontsize=size, family=families_for(text))
    with quiet_about_glyphs():
        box = probe.get_window_extent(ax.figure.canvas.get_renderer())
    probe.remove()
    return float(box.width), float(box.height)


def _broken(ax: Any, text: str, size: float, room: float) -> str:
    """Break one line into several that are at most `room` pixels wide."""
    if not text:
        return text
    for loose in ("n = ", " %"):
        text = text.replace(loose, loose.replace(" ", "\N{NO-BREAK SPACE}"))
    wide, _ = text_size(ax, text, size)
    n_characters = len(text)
    while wide > room and n_characters > 12:
        n_characters = min(n_characters - 1, int(n_characters * room / wide))
        lines = textwrap.wrap(text, max(12, n_characters))
        wide = max(text_size(ax, line, size)[0] for line in lines)
    broken = "\n".join(textwrap.wrap(text, max(12, n_characters)))
    return broken.replace("\N{NO-BREAK SPACE}", " ")
