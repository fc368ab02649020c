"""Check built pages: each link inside them leads somewhere, and opening one fetches nothing from the network.

python docs/check_html.py docs/_build/html
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes whose address a browser fetches when it opens a page; `a href` is not among them.
FETCHED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "img": ("src", "srcset"),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
}
# A link of these kinds names an address and fetches nothing.
NAMED_ONLY = {"canonical", "alternate", "license", "author", "search"}
IN_STYLES = re.compile(r"""(?:@import\s+|url\(\s*)["']?((?:https?:)?//[^"')\s]+)""")


class Page(HTMLParser):
    """Collect the anchors, links and fetched files of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)
        self.fetched += IN_STYLES.findall("".join(re.findall(r"<style.*?</style>", text, re.S)))

    def handle_starttag(self, tag, attributes):
        """Read one tag."""
        found = dict(attributes)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag == "link" and set((found.get("rel") or "").split()) & NAMED_ONLY:
            return
        for name in FETCHED.get(tag, ()):
            self.fetched += [part.split()[0] for part in (found.get(name) or "").split(",") if part]


def is_external(address: str) -> bool:
    """Tell whether an address leads to another host."""
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("http", "https")


def check(folder: Path) -> list[str]:
    """Return what is wrong with the pages below a folder, one line each."""
    pages = {
        path.resolve(): Page(path.read_text(encoding="utf-8"))
        for path in folder.rglob("*.html")
        if "_static" not in path.parts
    }
    if not pages:
        return [f"{folder}: there are no pages"]
    wrong = []
    for path, page in sorted(pages.items()):
        name = path.relative_to(folder.resolve())
        wrong += [f"{name}: fetches {x}" for x in page.fetched if is_external(x)]
        local = [x for x in page.fetched if not is_external(x) and not x.startswith("data:")]
        for address in {*page.links, *local}:
            problem = follow(address, path, pages)
            wrong += [f"{name}: {address} {problem}"] if problem else []
    for path in folder.rglob("*.css"):
        wrong += [
            f"{path.relative_to(folder)}: fetches {address}"
            for address in IN_STYLES.findall(path.read_text(encoding="utf-8", errors="replace"))
        ]
    return wrong


def follow(address: str, path: Path, pages: dict[Path, Page]) -> str:
    """Follow a link inside the pages; an empty text where it leads somewhere."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return ""
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target = target / "index.html"
    if not target.exists():
        return "is not there"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "has no such anchor"
    return ""


if __name__ == "__main__":
    found = check(Path(sys.argv[1]))
    print("\n".join(found) or "links lead somewhere, and nothing is fetched")
    sys.exit(bool(found))
