"""Read what a picture shows: its texts, whether they can be read, what was drawn."""

from __future__ import annotations

import matplotlib.colors as colors
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

# Two boxes may share this many pixels: extents are those of the line, not of the ink.
SHARED_PIXELS = 1.0
# Contrast with white is 4.5 or more below this, what WCAG 2 asks for small text.
LIGHTEST_INK = 0.183


class ColumnEffect(RegressorMixin, BaseEstimator):
    """Predict the first column of X, so that a test knows what a display must show."""

    def fit(self, X, y=None):
        self.is_fitted_ = True
        return self

    def predict(self, X):
        return np.asarray(X, dtype=float)[:, 0]


def texts_of(display):
    """Return all texts that are drawn and not empty."""
    display.figure_.canvas.draw()
    found = []
    for ax in display.figure_.axes:
        found += [*ax.texts, *ax.get_xticklabels(), *ax.get_yticklabels()]
        found += [ax.xaxis.label, ax.yaxis.label, ax._left_title, ax.title]
    return [text for text in found if text.get_text().strip() and text.get_visible()]


def words(display):
    """Return the texts as strings."""
    return [text.get_text() for text in texts_of(display)]


def one_line(display):
    """Return the label of the x axis, notes included, on one line."""
    return " ".join(display.ax_.get_xlabel().split())


def title_of(display):
    """Return the title on one line."""
    return " ".join(display.ax_.get_title(loc="left").split())


def assert_texts_fit(display):
    """No text covers another or leaves the picture (tick labels beyond the limits apart)."""
    drawn = texts_of(display)
    renderer = display.figure_.canvas.get_renderer()
    boxes = np.array([text.get_window_extent(renderer).extents for text in drawn])
    kept = [i for i, text in enumerate(drawn) if not _is_beyond(text, boxes[i], display)]
    drawn, boxes = [drawn[i] for i in kept], boxes[kept]
    width, height = display.figure_.canvas.get_width_height()
    names = [text.get_text() for text in drawn]
    for name, (x0, y0, x1, y1) in zip(names, boxes, strict=True):
        assert x0 >= -1, f"{name!r} leaves the picture on the left by {-x0:.0f} px"
        assert y0 >= -1, f"{name!r} leaves the picture below by {-y0:.0f} px"
        assert x1 <= width + 1, f"{name!r} leaves the picture on the right by {x1 - width:.0f} px"
        assert y1 <= height + 1, f"{name!r} leaves the picture above by {y1 - height:.0f} px"
    across = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    across -= np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    overlaps = np.argwhere(np.triu((across > SHARED_PIXELS).all(axis=2), 1))
    assert not len(overlaps), [(names[i], names[j]) for i, j in overlaps[:5]]


def _is_beyond(text, box, display):
    """Tell whether a tick label belongs to a tick outside the limits, which is not drawn."""
    for ax in display.figure_.axes:
        frame = ax.get_window_extent()
        middle = 0.5 * (box[0] + box[2]), 0.5 * (box[1] + box[3])
        if any(text is label for label in ax.get_xticklabels()):
            return not frame.x0 - 1 <= middle[0] <= frame.x1 + 1
        if any(text is label for label in ax.get_yticklabels()):
            return not frame.y0 - 1 <= middle[1] <= frame.y1 + 1
    return False


def luminance(ink):
    """Relative luminance of a colour (WCAG 2), 0 black to 1 white."""
    parts = np.array(colors.to_rgb(ink))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def assert_reads_in_grey(display):
    """Words and curves are dark enough on white to be read without colour."""
    for text in texts_of(display):
        ink = text.get_color()
        assert luminance(ink) < LIGHTEST_INK or luminance(ink) > 0.99, (text.get_text(), ink)
    for line in display.ax_.lines:
        if line.get_linewidth() >= 1 and line.get_marker() in ("", "None", None):
            assert luminance(line.get_color()) < LIGHTEST_INK, line.get_color()
