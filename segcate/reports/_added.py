"""Sections in their order, with those that a caller adds: tables and words beside the findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from segcate.findings import Findings
from segcate.reports._blocks import Block, Code, Head, Points, Words, frame_table
from segcate.reports._more_sections import MORE_SECTIONS
from segcate.reports._sections import SECTIONS, Section


@dataclass(frozen=True, slots=True)
class AddedSection:
    """A section of a report that is not in the findings.

    It stands behind the sections on effects and balance. Labels in it are text and nothing else.

    Attributes
    ----------
    title : str
        Heading.
    name : str
        What stands behind # in the address of the section; no other section has it.
    words : str, default=""
        A paragraph.
    summary : str, default=""
        Lines that keep their form, such as the `summary()` of an estimator.
    tables : mapping of str to DataFrame
        Tables by their headings; "" for none. Numbers are written with four digits.
    picture : object, default=None
        A picture: its attributes `figure` (of matplotlib), `title`, `caption` and `alt`, the words for
        those who do not see it.

    Examples
    --------
    >>> import pandas as pd
    >>> from segcate.reports import AddedSection
    >>> costs = pd.DataFrame({"cost": [0.5, 1.0]}, index=pd.Index(["mail", "call"], name="arm"))
    >>> AddedSection("What it costs", "costs", "In euros a user.", tables={"": costs}).title
    'What it costs'
    """

    title: str
    name: str
    words: str = ""
    summary: str = ""
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    picture: Any = None

    def blocks(self) -> list[Block]:
        """Return the contents but the picture."""
        found: list[Block] = [Words(self.words)] if self.words else []
        found += [Code(self.summary)] if self.summary else []
        for heading, table in self.tables.items():
            found += [Head(heading)] if heading else []
            found.append(frame_table(table, f"{self.title}: {heading}" if heading else self.title))
        return found


def written_sections(
    findings: Findings, notes: Sequence[str], added: Sequence[AddedSection]
) -> list[tuple[Section, list[Block]]]:
    """Return all sections with their contents; remarks on the data stand in the first."""
    first, *rest = SECTIONS
    remarks: list[Block] = [Points([("", note) for note in notes])] if notes else []
    written = [(first, [*first.write(findings), *remarks])]
    written += [(section, section.write(findings)) for section in rest]
    written += [(Section(own.name, own.title, own.name, _nothing), own.blocks()) for own in added]
    return written + [(section, section.write(findings)) for section in MORE_SECTIONS]


def _nothing(findings: Findings) -> list[Block]:
    return []
