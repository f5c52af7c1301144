"""Every link between the pages, and every reference from code to a page, leads somewhere."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs.conftest import PAGES, Page, broken_links, files, name_of

CODE = files(
    *(".py", ".ts", ".js", ".mjs", ".yml", ".yaml", ".json", ".toml"),
    *("Makefile", "Dockerfile", ".env.example"),
)
REFERENCE = re.compile(r"docs/[\w/-]+\.md(#[\w-]+)?(?:, \"([^\"]+)\")?")
RECORD = re.compile(r"\bADR (\d+)")


def broken_references(text: str) -> list[str]:
    """Return the references to a page, a heading or an ADR that does not exist."""
    # A reference may continue on the next line of a comment.
    text = re.sub(r"\s*\n\s*(?:#|//)?\s*", " ", text)
    broken = []
    for found in REFERENCE.finditer(text):
        path, _, anchor = found.group().split(",")[0].partition("#")
        page = Page.read(ROOT / path) if (ROOT / path).is_file() else None
        heading = found.group(2)
        if (
            page is None
            or (anchor and anchor not in page.anchors)
            or (heading and heading not in page.headings)
        ):
            broken.append(found.group())
    for found in RECORD.finditer(text):
        if len(list((ROOT / "docs" / "adr").glob(f"{found.group(1)}-*.md"))) != 1:
            broken.append(found.group())
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: name_of(page.path))
def test_every_link_of_a_page_leads_somewhere(page: Page) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_every_reference_in_code_leads_somewhere(path: Path) -> None:
    assert broken_references(path.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: name_of(page.path))
def test_every_adr_that_a_page_names_exists(page: Page) -> None:
    assert broken_references(page.prose) == []


def test_the_index_links_every_page() -> None:
    folder = ROOT / "docs"
    index = Page.read(folder / "README.md")
    linked = {(folder / link.partition("#")[0]).resolve() for link in index.links}
    assert {page.path for page in PAGES if page.path.parent == folder} - linked <= {index.path}


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](page.md)", False),
        ("[a](page.md#one-two)", False),
        ("[a](page.md#one-two-1)", False),
        ("[a `b` [c]](page.md#codeword)", False),
        ("[a](#here)\n\n# Here", False),
        ("```sh\n[a](missing.md)\n```", False),
        ("[a](https://example.com/missing.md)", False),
        ("[a](missing.md)", True),
        ("![a](missing.png)", True),
        ("[a](page.md#one)", True),
        ("[a](page.md#one-two-2)", True),
        ("[a](#page)", True),
    ],
)
def test_a_broken_link_is_found(tmp_path: Path, text: str, broken: bool) -> None:
    (tmp_path / "page.md").write_text("# One, two\n\n## One two\n\n## `Code.word`\n")
    page = tmp_path / "from.md"
    page.write_text(text)
    assert bool(broken_links(Page.read(page))) == broken


@pytest.mark.parametrize(
    ("reference", "broken"),
    [
        ("errors.md", False),
        ("errors.md#retries", False),
        ('errors.md,\n    # "Retries"', False),
        ("missing.md", True),
        ("errors.md#missing", True),
        ('errors.md, "Missing"', True),
    ],
)
def test_a_broken_reference_is_found(reference: str, broken: bool) -> None:
    assert bool(broken_references("see docs/" + reference)) == broken


@pytest.mark.parametrize(("number", "broken"), [("0001", False), ("9999", True)])
def test_a_missing_adr_is_found(number: str, broken: bool) -> None:
    assert bool(broken_references("see ADR " + number)) == broken
