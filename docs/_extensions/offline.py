"""Formulas as MathML and links to the source, so that a page needs no server but its own."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert

PACKAGE = Path(__file__).resolve().parents[2] / "segcate"


def visit_math(self, node):
    """Write a formula in a line of text."""
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def visit_display_math(self, node):
    """Write a formula on a line of its own."""
    self.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


@cache
def modules_of(package: str) -> dict[str, str]:
    """Say which module defines each class and function below a public package."""
    folder = PACKAGE.joinpath(*package.split(".")[1:])
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        dotted = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                found.setdefault(node.name, dotted.removesuffix(".__init__"))
    return found


def find_source(app, package: str, attribute: str) -> str | None:
    """Tell viewcode where a thing stands, which `__module__` names by its public package."""
    if not package or not package.startswith("segcate"):
        return None
    return modules_of(package).get(attribute.split(".")[0], package)


def setup(app):
    """Register the renderer of formulas and the finder of sources."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_display_math, None))
    app.connect("viewcode-follow-imported", find_source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
