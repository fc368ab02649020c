"""Findings as a page to hand on: one HTML file with everything in it, or Markdown."""

from segcate._publishing import publish
from segcate.reports._added import AddedSection
from segcate.reports._markdown import report_markdown
from segcate.reports._page import report_html, write_report

__all__ = ["AddedSection", "report_html", "report_markdown", "write_report"]

publish(globals())
