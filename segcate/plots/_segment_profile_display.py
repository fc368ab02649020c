"""Heat map of the covariate means of each segment."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from segcate._inputs.arrays import Float
from segcate._inputs.containers import refuse_no_table
from segcate._inputs.last_step import last_step
from segcate._inputs.parameters import check_count, check_option
from segcate._inputs.vectors import check_same_index
from segcate._writing.number_texts import decimals_of, write_decimals
from segcate.base import SegmenterMixin
from segcate.plots._display import Display
from segcate.plots._drawing import (
    FONT,
    INK,
    LARGEST_FONT,
    SMALLEST_FONT,
    WIDTH,
    fit_name,
    plain,
    text_size,
)
from segcate.plots._fonts import families_for
from segcate.plots._profile_cells import ProfileCells, profile_cells, scale_of_rows
from segcate.segmentation import segment_profile

Order = Literal["given", "spread"]

_ROW_INCHES, _COLUMN_INCHES, _NAME_INCHES = 0.25, 0.5, 2.6
_SMALLEST_CELL_FONT = 4.0
_MOST_DEVIATIONS = 2.0
# Where white and ink stand out alike.
_EVEN_LUMINANCE = 0.21
# From pale to dark: below the mean is light, above it dark, so that grey tells the sign.
_SHADES = ("#fbfbe0", "#c9e4b9", "#73bdb5", "#2f7ea6", "#12305f")


@dataclass(eq=False, repr=False)
class SegmentProfileDisplay(Display):
    """Heat map of covariate means by segment: who is in a segment.

    Use it to name segments and to see that they differ. The shade is the distance from the mean of
    all rows in standard deviations, light below and dark above; the plain mean, or the share of a
    category, is written into the cell. It says nothing about effects.

    Parameters
    ----------
    profile : DataFrame indexed by segment
        The table of `segcate.segmentation.segment_profile`.
    overall : array-like of shape (n_covariates,), default=None
        Mean of all rows. None: of the segments, weighted by their share.
    scale : array-like of shape (n_covariates,), default=None
        Standard deviation of all rows. None: that between segments, since the table has no other.
    title : str, default=None
        None: a title that states segments and rows; "" for none.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    mesh_ : list of one QuadMesh, the cells
    text_ : list of Text, the means row by row; empty where cells are too small
    colorbar_ : matplotlib Colorbar

    See Also
    --------
    segcate.segmentation.segment_profile : Makes the table.

    Notes
    -----
    Shades end at 2 standard deviations. A covariate that does not vary, and a mean that does not
    exist, have no shade. Where cells are too small for numbers none are written, and the picture
    says so.

    Examples
    --------
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.plots import SegmentProfileDisplay
    >>> users = make_segmented_users(400, n_segments=3, n_features=2, random_state=0)
    >>> display = SegmentProfileDisplay.from_predictions(users.X, users.segment)
    >>> print(display.ax_.get_title(loc="left"))
    Means by segment: 2 covariates, 3 segments, n = 400
    """

    profile: pd.DataFrame
    _: KW_ONLY
    overall: Any = None
    scale: Any = None
    title: str | None = None

    mesh_: list[Any] = field(init=False)
    text_: list[Any] = field(init=False)
    colorbar_: Any = field(init=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> SegmentProfileDisplay:
        """Label rows by a fitted segmenter and draw the means of each segment.

        Parameters
        ----------
        estimator : fitted segmenter
            Or a Pipeline that ends in one; of a longer one the part up to the segmenter,
            ``pipeline[:-1]``.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows to label and describe.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of
            rows; of all others only ratios count; a row of weight 0 is not there.
        **kwargs
            All else that `from_predictions` takes.

        Returns
        -------
        SegmentProfileDisplay

        Raises
        ------
        NotFittedError
            If the segmenter is not fitted.
        TypeError
            If the last step is no segmenter.
        ImportError
            If matplotlib is not installed.
        """
        step = last_step(estimator)
        if not isinstance(step, SegmenterMixin):
            raise TypeError(
                f"{cls.__name__}.from_estimator: the last step is a {type(step).__name__}, which "
                "labels no segments. Pass the segmenter, or the part of the pipeline up to it, "
                "such as `pipeline[:-1]`."
            )
        check_same_index(f"{cls.__name__}.from_estimator", X=X, sample_weight=sample_weight)
        segment = estimator.predict(X)
        return cls.from_predictions(X, segment, sample_weight=sample_weight, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        X: Any,
        segment: Any,
        *,
        sample_weight: Any = None,
        title: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> SegmentProfileDisplay:
        """Draw the covariate means of labelled rows, segment by segment.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Columns to describe.
        segment : str or array-like of shape (n_samples,)
            Column of X that holds the segments, or the segment of each row.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of
            rows; of all others only ratios count; a row of weight 0 is not there.
        title
            See the class.
        ax : matplotlib Axes, default=None
            Where to draw.
        **kwargs
            Order, limit and styles, see `plot`.

        Returns
        -------
        SegmentProfileDisplay

        Raises
        ------
        ValueError
            If `segment` does not fit X, or a column cannot be described.
        ImportError
            If matplotlib is not installed.
        """
        refuse_no_table(f"{cls.__name__}.from_predictions", X)
        X = X if hasattr(X, "shape") else np.asarray(X)
        profile = segment_profile(X, segment, sample_weight=sample_weight)
        overall, scale = scale_of_rows(X, profile, sample_weight)
        display = cls(profile, overall=overall, scale=scale, title=title)
        return display.plot(ax, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        order: Order = "given",
        max_covariates: int = 40,
        mesh_kw: dict[str, Any] | None = None,
        text_kw: dict[str, Any] | None = None,
    ) -> SegmentProfileDisplay:
        """Draw the plot.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure, large enough for all cells.
        order : {"given", "spread"}, default="given"
            Covariates as in the table, or those that tell segments apart most first.
        max_covariates : int, default=40
            Most rows, at least 1; of more covariates those that tell segments apart most are
            shown, and the picture says how many are not.
        mesh_kw, text_kw : dict, default=None
            Matplotlib properties of the cells, such as ``{"cmap": "Greys"}``, and of the means in
            them.

        Returns
        -------
        SegmentProfileDisplay
            self, with `ax_`, `figure_` and the marks.

        Raises
        ------
        TypeError, ValueError
            If the table is not a profile, or an option is unknown; or a style is no dict.
        ImportError
            If matplotlib is not installed.
        """
        owner = type(self).__name__
        check_option(owner, "order", order, ["given", "spread"])
        check_count(owner, "max_covariates", max_covariates, 1)
        cells = profile_cells(owner, self.profile, self.overall, self.scale, order, max_covariates)
        n_rows, n_columns = cells.means.shape
        width = max(WIDTH, _NAME_INCHES + _COLUMN_INCHES * n_columns)
        height, is_ours = 1.9 + _ROW_INCHES * n_rows, not hasattr(ax, "spines")
        ax = self._open(ax, height, width, mesh=mesh_kw, text=text_kw)
        self._draw_cells(cells)
        added = _name_cells(ax, cells)
        if is_ours:
            ax.figure.set_figheight(height + added)
        self.colorbar_ = _draw_key(ax, self.mesh_[0], cells.is_exact)
        noun = "segment" if n_columns == 1 else "segments"
        covariates = "covariate" if n_rows + cells.n_hidden == 1 else "covariates"
        default = (
            f"Means by segment: {n_rows + cells.n_hidden} {covariates}, {n_columns} {noun}, "
            f"n = {sum(cells.n):,}"
        )
        notes = _notes(cells)
        self._write("", notes, default)
        if not self._write_means(cells):
            notes.append("Cells are too small to write the means into.")
            self._write("", notes, default)
        return self

    def _draw_cells(self, cells: ProfileCells) -> None:
        from matplotlib.colors import LinearSegmentedColormap

        ax, shades = self.ax_, LinearSegmentedColormap.from_list("segcate", _SHADES)
        self._mark(
            "mesh", ax.pcolormesh, _clipped(cells), cmap=shades,
            vmin=-_MOST_DEVIATIONS, vmax=_MOST_DEVIATIONS, edgecolor="white", linewidth=0.8,
        )  # fmt: skip
        ax.invert_yaxis()
        for side in ax.spines.values():
            side.set_visible(False)
        ax.tick_params(length=0)

    def _write_means(self, cells: ProfileCells) -> bool:
        """Write means into the cells; False, and nothing, where they would not be legible."""
        ax, texts = self.ax_, [_write_row(row) for row in cells.means]
        n_rows, n_columns = cells.means.shape
        box = ax.get_window_extent()
        longest = max((text for row in texts for text in row), key=len)
        width, height = text_size(ax, longest or "0", 10.0)
        room = min(0.9 * box.width / n_columns / width, 0.8 * box.height / n_rows / height)
        size = min(10.0 * room, LARGEST_FONT)
        if size < _SMALLEST_CELL_FONT:
            return False
        shades = self.mesh_[0].to_rgba(_clipped(cells))
        for i, row in enumerate(texts):
            for j, text in enumerate(row):
                self._mark(
                    "text", ax.text, j + 0.5, i + 0.5, plain(text), color=_ink_on(shades[i, j]),
                    fontsize=size, horizontalalignment="center", verticalalignment="center",
                )  # fmt: skip
        return True


def _clipped(cells: ProfileCells) -> Float:
    return np.clip(cells.distances, -_MOST_DEVIATIONS, _MOST_DEVIATIONS)


def _name_cells(ax: Any, cells: ProfileCells) -> float:
    """Name covariates on the left and segments above; return the inches that long names add."""
    n_rows, n_columns = cells.means.shape
    box = ax.get_window_extent()
    row = box.height / ax.figure.dpi * 72 / n_rows
    size = float(np.clip(0.62 * row, SMALLEST_FONT, FONT))
    lines = 2 if row > 24 else 1
    names = [fit_name(name, 26, lines) for name in cells.covariates]
    family = families_for(*names)
    ax.set_yticks(np.arange(n_rows) + 0.5, names, fontsize=size, color=INK, family=family)
    ax.xaxis.tick_top()
    labels = [
        f"{fit_name(name, 14)}\n({n:,})" for name, n in zip(cells.segments, cells.n, strict=True)
    ]
    column = box.width / n_columns
    is_narrow = max(text_size(ax, label, FONT)[0] for label in labels) > 0.92 * column
    if is_narrow:
        labels = [
            f"{fit_name(name, 22, 1)} ({n:,})"
            for name, n in zip(cells.segments, cells.n, strict=True)
        ]
    size = (
        float(np.clip(0.72 * column / ax.figure.dpi * 72, SMALLEST_FONT, FONT))
        if is_narrow
        else FONT
    )
    ax.set_xticks(
        np.arange(n_columns) + 0.5, labels, fontsize=size, color=INK,
        rotation=90 if is_narrow else 0, family=families_for(*labels),
    )  # fmt: skip
    longest = max(labels, key=len)
    return text_size(ax, longest, size)[0] / float(ax.figure.dpi) if is_narrow else 0.0


def _draw_key(ax: Any, mesh: Any, is_exact: bool) -> Any:
    """Draw the scale of the shades."""
    key = ax.figure.colorbar(mesh, ax=ax, fraction=0.04, pad=0.02, extend="both")
    key.outline.set_visible(False)
    key.ax.tick_params(labelsize=FONT, colors=INK)
    key.set_ticks([-2, -1, 0, 1, 2], labels=[write_decimals(k, 0) for k in (-2, -1, 0, 1, 2)])
    of = "" if is_exact else " between segments"
    key.set_label(f"distance from the mean\nof all rows, in SD{of}", fontsize=FONT, color=INK)
    return key


def _ink_on(shade: Float) -> str:
    """Return white or ink, whichever stands out more (relative luminance as in WCAG 2)."""
    red, green, blue, opacity = shade.tolist()
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (red, green, blue)
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "white" if opacity > 0 and luminance < _EVEN_LUMINANCE else INK


def _write_row(means: Float) -> list[str]:
    """Write the means of one covariate with the same decimals: about three digits, shares two."""
    known = np.abs(means[~np.isnan(means)])
    largest = float(known.max()) if len(known) else 0.0
    decimals = decimals_of([largest], 3 if largest >= 1 else 2)
    is_extreme = 0 < largest < 1e-3
    return [
        "none"
        if np.isnan(mean)
        else f"{mean:.1e}"
        if is_extreme
        else write_decimals(mean, decimals)
        for mean in means.tolist()
    ]


def _notes(cells: ProfileCells) -> list[str]:
    notes = ["Numbers: plain means, or shares of a category. Below the names: rows."]
    if cells.n_hidden:
        notes.append(f"{cells.n_hidden} more covariates, which differ less, are not shown.")
    n_flat = int(np.isnan(cells.distances).all(axis=1).sum())
    if n_flat:
        notes.append(f"Without shade: covariates that do not vary ({n_flat}).")
    return notes
