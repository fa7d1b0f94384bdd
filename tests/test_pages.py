"""The pages hang together: links lead somewhere, all can be found, and what they say of the house is so."""

import re
from pathlib import Path

import fusion
from tests.test_house import ORDER

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def pages() -> list[Path]:
    """Return all pages: those of docs, and those at the top."""
    return [*DOCS.glob("*.md"), *DOCS.glob("decisions/*.md"), *ROOT.glob("*.md")]


def anchors(page: Path) -> set[str]:
    """Return what links may name within a page: its headings, in small letters, joined by hyphens."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_between_pages_lead_somewhere():
    for page in pages():
        for target, anchor in re.findall(
            r"\]\((?!https?:)([\w./-]*)(?:#([\w-]+))?[^)]*\)", page.read_text(encoding="utf-8")
        ):
            to = page.parent / target if target else page
            assert to.exists(), (page.name, target)
            assert not anchor or anchor in anchors(to), (page.name, target, anchor)


def test_every_page_can_be_found_from_the_readme():
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop().resolve()
        if page in reached or not page.exists():
            continue
        reached.add(page)
        links = re.findall(r"\]\(([\w./-]+\.md)[^)]*\)", page.read_text(encoding="utf-8"))
        todo += [page.parent / link for link in links]
    assert {page.name for page in pages() if page.resolve() not in reached} == set()


def test_the_page_of_python_runs_as_it_stands(own_folder):
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
    assert (own_folder / "report.html").exists()
    assert names["predictor"].equation()


def test_decisions_are_numbered_without_a_gap():
    numbers = [int(page.name[:4]) for page in sorted((DOCS / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_floor_plan_is_the_house():
    plan = re.search(r"```\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL).group(1)
    floors = [re.match(r"[a-z_ ]+", line) for line in reversed(plan.splitlines())]
    assert [name for floor in floors if floor for name in floor.group().split()] == ORDER


def test_changelog_and_citation_know_the_version():
    assert f"\n## [{fusion.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {fusion.__version__}\n" in (ROOT / "CITATION.cff").read_text()
