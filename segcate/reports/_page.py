"""The page: sections in order, contents, style and script, all in one file."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from segcate._writing.whole_files import whole_file
from segcate.findings import Findings
from segcate.plots._fonts import missing_signs, what_to_install
from segcate.reports._added import AddedSection, written_sections
from segcate.reports._answer import answer, heading, title_of
from segcate.reports._blocks import Block
from segcate.reports._blocks_html import blocks_html
from segcate.reports._figures import PHONE_WIDTH, Picture, draw_figures
from segcate.reports._html import Html, paragraph, tag
from segcate.reports._sections import Section
from segcate.reports._svg import inline_svg
from segcate.reports._units import check_findings

# A heat map with more segments than this is not drawn narrow; it scrolls on a phone.
_MOST_ON_PHONE = 7


def write_report(
    findings: Findings,
    path: str | os.PathLike[str],
    *,
    figures: bool | None = None,
    notes: Sequence[str] = (),
    added: Sequence[AddedSection] = (),
) -> None:
    """Write the findings as one HTML file that needs nothing else.

    Use it to hand an analysis on: the page asks no network, reads on a phone and in print, in light and
    dark. For a page in a repository use `report_markdown`, for a model hub a model card.

    Parameters
    ----------
    findings : Findings
        From `segcate.findings.collect_findings`.
    path : path-like
        File to write, such as ``"report.html"``. It is written whole or not at all.
    figures : bool, default=None
        Whether to draw pictures. None: where matplotlib is installed; the page says so where it is
        not.
    notes : sequence of str, default=()
        Remarks on the data, such as on rows that were left out before the fit.
    added : sequence of AddedSection, default=()
        Sections of the caller's own.

    Raises
    ------
    TypeError
        If `findings` are none.
    ImportError
        If `figures` is True and matplotlib is not installed.
    OSError
        If the file cannot be written. What was there before is untouched then.

    See Also
    --------
    report_html : The same as text.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.effects import SegmentMatching
    >>> from segcate.findings import collect_findings
    >>> from segcate.reports import write_report
    >>> users = make_segmented_users(600, n_segments=2, random_state=0)
    >>> X = users.X.assign(segment=users.segment)
    >>> model = SegmentMatching().fit(X, users.y, treatment=users.treatment)
    >>> findings = collect_findings(model, X, users.y, treatment=users.treatment)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report(findings, Path(folder) / "report.html", figures=False)
    ...     (Path(folder) / "report.html").read_text(encoding="utf-8")[:15]
    '<!DOCTYPE html>'
    """
    check_findings("write_report", findings)
    page = report_html(findings, figures=figures, notes=notes, added=added)
    with whole_file(path) as part:
        part.write_text(page, encoding="utf-8")


def report_html(
    findings: Findings,
    *,
    figures: bool | None = None,
    notes: Sequence[str] = (),
    added: Sequence[AddedSection] = (),
) -> str:
    """Return the findings as the text of one HTML page that needs nothing else.

    Parameters
    ----------
    findings : Findings
        From `segcate.findings.collect_findings`.
    figures : bool, default=None
        Whether to draw pictures. None: where matplotlib is installed; the page says so where it is
        not.
    notes : sequence of str, default=()
        Remarks on the data, such as on rows that were left out before the fit.
    added : sequence of AddedSection, default=()
        Sections of the caller's own.

    Returns
    -------
    str
        Same findings, same page, but for the date in its last line.

    Raises
    ------
    TypeError
        If `findings` are none.
    ImportError
        If `figures` is True and matplotlib is not installed.

    See Also
    --------
    write_report : Writes it to a file.
    """
    check_findings("report_html", findings)
    pictures, note = _pictures(findings, figures)
    if pictures:
        pictures |= {own.name: (own.picture, None) for own in added if own.picture is not None}
    written = written_sections(findings, notes, added)
    shown = [
        (section, blocks) for section, blocks in written if blocks or section.picture in pictures
    ]
    contents = [("verdict", "Verdict")] + [(s.anchor, s.title) for s, _ in shown]
    body = tag(
        "div",
        tag("header", heading(findings), note),
        _contents(contents),
        tag("main", answer(findings), *(_section(s, blocks, pictures) for s, blocks in shown)),
        _foot(findings),
        class_="page",
    )
    style, script = _asset("report.css"), _asset("report.js")
    title = tag("title", title_of(findings))
    head = tag("head", *_meta(script), title, tag("style", style))
    html = tag("html", head, tag("body", body, tag("script", script)), lang="en")
    return f"<!DOCTYPE html>\n{html}\n"


def _pictures(
    findings: Findings, figures: bool | None
) -> tuple[dict[str, tuple[Picture, Picture | None]], Html]:
    """Draw each picture for a page and for a phone, and say what is amiss with them."""
    if figures is False:
        return {}, Html("")
    try:
        wide = draw_figures(findings)
    except ImportError:
        if figures:
            raise
        return {}, paragraph(
            "Pictures are missing: matplotlib was not installed where this was written "
            "(pip install segcate[plot]).",
            class_="soft",
        )
    narrow = draw_figures(findings, width=PHONE_WIDTH)
    if len(findings.segments) > _MOST_ON_PHONE:
        narrow.pop("profile", None)
    lacking = missing_signs(*_words_of(findings))
    note = Html("")
    if lacking:
        note = paragraph(
            f"No font where this was written has the signs {lacking[:20]}; pictures show boxes in their places. "
            f"The package {what_to_install(lacking)} has them.",
            class_="soft",
        )
    return {name: (picture, narrow.get(name)) for name, picture in wide.items()}, note


def _words_of(findings: Findings) -> list[Any]:
    """Return the labels that pictures show."""
    found = [findings.description.units, *findings.names, *findings.names.values()]
    found += [row.covariate for row in findings.balance_rows or ()]
    return found + list(findings.profile.columns if findings.profile is not None else ())


def _section(section: Section, blocks: list[Block], pictures: dict[str, Any]) -> Html:
    heading = tag("h2", section.title, id=section.anchor)
    shown = pictures.get(section.picture)
    figure = _figure(section.anchor, *shown) if shown else None
    return tag("section", heading, figure, blocks_html(blocks))


def _figure(key: str, wide: Picture, narrow: Picture | None) -> Html:
    """Write a picture, drawn twice: for a page, and narrower for a phone."""
    drawn = [inline_svg(wide.figure, f"{key}-w", wide.alt, "wide")]
    if narrow is not None:
        drawn.append(inline_svg(narrow.figure, f"{key}-n", wide.alt, "narrow"))
    caption = tag("figcaption", tag("strong", f"{wide.title}. "), wide.caption)
    is_wider = wide.figure.get_figwidth() > 6.5
    kind = ["both"] if narrow is not None else []
    kind += ["many"] if is_wider else []
    scrolls = {"role": "region", "aria_label": wide.title, "tabindex": "0"} if is_wider else {}
    box = tag("div", *drawn, class_="scroll", **scrolls)
    return tag("figure", box, caption, class_=" ".join(kind))


def _contents(entries: list[tuple[str, str]]) -> Html:
    links = [tag("li", tag("a", title, href=f"#{anchor}")) for anchor, title in entries]
    inside = tag("details", tag("summary", "Contents"), tag("ol", *links))
    return tag("nav", inside, aria_label="Contents")


def _foot(findings: Findings) -> Html:
    from segcate import __version__

    today = date.today().isoformat()
    return tag("footer", f"Written on {today} by segcate {__version__}. This file asks no network.")


def _meta(script: str) -> list[Html]:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    return [
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
    ]


@cache
def _asset(name: str) -> Html:
    """Read a file of the package."""
    return Html((files("segcate.reports") / name).read_text(encoding="utf-8"))
