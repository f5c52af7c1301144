"""Markdown pages as these tests read them: their prose, links, headings and shell commands."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

_IGNORED = re.compile(r"\..*|node_modules|build|dist")
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: (.+) -->\n\Z")
_SAVED_AS = re.compile(r"`([\w.-]+)`:\n\n\Z")
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A code block. `line` is where it begins; `not_run` is why the test does not run it.

    `saved_as` is the name in the text before it, if that ends with a name and a colon.
    """

    language: str
    body: str
    line: int
    not_run: str | None
    saved_as: str | None


@dataclass(frozen=True)
class Page:
    """A Markdown file and its text."""

    path: Path
    text: str

    @classmethod
    def read(cls, path: Path) -> "Page":
        """Return the page in a file."""
        return cls(path, path.read_text())

    @property
    def prose(self) -> str:
        """The text without code blocks and inline code."""
        return re.sub(r"`[^`\n]*`", "`code`", _FENCE.sub("", self.text))

    @property
    def links(self) -> list[str]:
        """The targets of all links and images that are not web addresses."""
        return [link for link in _LINK.findall(self.prose) if not re.match(r"\w+:", link)]

    @property
    def headings(self) -> list[str]:
        """The text of all headings, without formatting."""
        return [head.replace("`", "") for head in _HEADING.findall(_FENCE.sub("", self.text))]

    @property
    def anchors(self) -> set[str]:
        """The anchors that code hosts give to the headings."""
        found: set[str] = set()
        for heading in self.headings:
            anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            repeated = sum(re.fullmatch(rf"{anchor}(-\d+)?", known) is not None for known in found)
            found.add(f"{anchor}-{repeated}" if repeated else anchor)
        return found

    @property
    def blocks(self) -> list[Block]:
        """All code blocks, in their order."""
        found = []
        for fence in _FENCE.finditer(self.text):
            before = self.text[: fence.start()]
            not_run, saved_as = _NOT_RUN.search(before), _SAVED_AS.search(before)
            found.append(
                Block(
                    language=fence[2],
                    body=textwrap.dedent(fence[3]),
                    line=before.count("\n") + 1,
                    not_run=not_run[1] if not_run else None,
                    saved_as=saved_as[1] if saved_as else None,
                )
            )
        return found

    @property
    def commands(self) -> list[str]:
        """The lines of all shell blocks, each command on one line."""
        blocks = [block.body for block in self.blocks if block.language == "sh"]
        lines = [re.sub(r"\\\n\s*", "", block).splitlines() for block in blocks]
        return [line.strip() for block in lines for line in block if line.strip()]


def files(*suffixes: str) -> list[Path]:
    """Return the files with these suffixes or names, without generated and hidden folders."""
    return sorted(
        path
        for path in ROOT.rglob("*")
        if path.is_file()
        and (path.suffix in suffixes or path.name in suffixes)
        and not any(_IGNORED.fullmatch(part) for part in path.relative_to(ROOT).parent.parts)
    )


def name_of(path: Path) -> str:
    """Return a file's path in the project, as the id of a test case."""
    return str(path.relative_to(ROOT))


PAGES = [Page.read(path) for path in files(".md")]


def broken_links(page: Page) -> list[str]:
    """Return the links of a page that lead to no file, or to no heading of a page."""
    broken = []
    for link in page.links:
        name, _, anchor = link.partition("#")
        target = (page.path.parent / name).resolve() if name else page.path
        if not target.exists() or (anchor and anchor not in Page.read(target).anchors):
            broken.append(link)
    return broken
