"""The same findings as one page of Markdown, for a repository or a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from segcate._writing.label_texts import fenced, markdown
from segcate.findings import Findings
from segcate.reports._added import AddedSection, written_sections
from segcate.reports._answer import facts_of, standing, title_of
from segcate.reports._blocks import Block, Code, Folded, Head, Pairs, Points, Table, Words
from segcate.reports._units import check_findings

_MOST_ROWS = 60


def report_markdown(
    findings: Findings,
    *,
    pictures: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    added: Sequence[AddedSection] = (),
) -> str:
    """Return the findings as the text of one Markdown page.

    It says what the HTML page says, without the tables that are folded away there.

    Parameters
    ----------
    findings : Findings
        From `segcate.findings.collect_findings`.
    pictures : mapping of str to str, default=None
        Files to show, by the name of the picture: "effects", "profile", "balance", "overlap",
        "targeting", "protected", or the `name` of an added section. None: no pictures.
    notes : sequence of str, default=()
        Remarks on the data, such as on rows that were left out before the fit.
    added : sequence of AddedSection, default=()
        Sections of the caller's own.

    Returns
    -------
    str
        Labels and words of the user are text in it and nothing else.

    Raises
    ------
    TypeError
        If `findings` are none.

    See Also
    --------
    write_report : One HTML file, with pictures in it.

    Examples
    --------
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.effects import SegmentMatching
    >>> from segcate.findings import collect_findings
    >>> from segcate.reports import report_markdown
    >>> users = make_segmented_users(600, n_segments=2, random_state=0)
    >>> X = users.X.assign(segment=users.segment)
    >>> model = SegmentMatching().fit(X, users.y, treatment=users.treatment)
    >>> findings = collect_findings(model, X, users.y, treatment=users.treatment)
    >>> print(report_markdown(findings).splitlines()[0])
    # Effect of the treatment on the outcome, by segment
    """
    check_findings("report_markdown", findings)
    files = pictures or {}
    parts = [
        f"# {markdown(title_of(findings))}",
        markdown(findings.question),
        *written_answer(findings),
    ]
    for section, blocks in written_sections(findings, notes, added):
        file = files.get(section.picture)
        if blocks or file:
            parts.append(f"## {markdown(section.title)}")
            parts += [f"![{markdown(section.title)}]({file})"] if file else []
            parts += written_blocks(blocks)
    return "\n\n".join(parts) + "\n"


def written_answer(findings: Findings) -> list[str]:
    """Write verdict, doubts and the main numbers."""
    parts = []
    if findings.verdict:
        said = [
            f"* **{standing(statement)}**: {markdown(statement.text)} (Rule: {markdown(statement.rule)})"
            for statement in findings.verdict
        ]
        parts += ["## Verdict", "\n".join(said)]
    if findings.doubts:
        doubts = [
            f"* **{markdown(doubt.kind)}**: {markdown(doubt.text)}" for doubt in findings.doubts
        ]
        parts += ["### Doubts", "\n".join(doubts)]
    facts = [
        f"* {name}: **{markdown(value)}** ({markdown(small)})"
        for name, value, small in facts_of(findings)
    ]
    return [*parts, "\n".join(facts)]


def written_blocks(blocks: Iterable[Block]) -> list[str]:
    """Write blocks; what is folded away elsewhere is left out."""
    return [_block(block) for block in blocks if not isinstance(block, Folded)]


def _block(block: Block) -> str:
    match block:
        case Table():
            return _table(block)
        case Words():
            return markdown(block.text)
        case Head():
            return f"### {markdown(block.text)}"
        case Code():
            return fenced(block.text)
        case Points():
            return "\n".join(
                f"* {markdown(f'{name}: {words}' if name else words)}"
                for name, words in block.entries
            )
        case Pairs():
            return "\n".join(
                f"* {markdown(name)}: {markdown(words)}" for name, words in block.rows if words
            )
        case Folded():
            return ""


def _table(table: Table) -> str:
    """Write a table, at most 60 rows of it."""
    columns = table.shown
    n_rows = len(columns[0].cells) - table.last if columns else 0
    at = [*range(min(n_rows, _MOST_ROWS)), *range(n_rows, n_rows + table.last)]
    lines = [[column.head for column in columns]]
    lines += [[column.cells[i] for column in columns] for i in at]
    written = ["| " + " | ".join(map(markdown, line)) + " |" for line in lines]
    rule = ("---:" if column.is_number else "---" for column in columns)
    written.insert(1, "| " + " | ".join(rule) + " |")
    cut = f" The first {_MOST_ROWS} of {n_rows:,} rows." if n_rows > _MOST_ROWS else ""
    return "\n".join([*written, "", markdown(table.caption + cut)])
