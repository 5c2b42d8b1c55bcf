"""The page over all reports of a folder: each study with its question and its one-line answer."""

from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from ablate.records.files import write_whole
from ablate.report.pages import templates

GENERATOR = "ablate"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One report, as its own page describes itself."""

    folder: str
    described: dict[str, str]


def write_index(parent: Path) -> Path | None:
    """index.html of all reports in `parent`; None, and nothing written, if a page not ours has that name."""
    page = parent / "index.html"
    if page.exists() and _described(page).get("generator") != GENERATOR:
        return None
    entries = [
        Entry(folder=path.parent.name, described=described)
        for path in sorted(parent.glob("*/report.html"))
        if (described := _described(path)).get("generator") == GENERATOR
    ]
    html = templates(autoescape=True).get_template("index.html.j2").render(entries=entries)
    write_whole(page, html.encode())
    return page


class _Head(HTMLParser):
    """The named meta elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.named: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "meta" and given.get("name"):
            self.named[str(given["name"])] = given.get("content") or ""


def _described(page: Path) -> dict[str, str]:
    # A report is megabytes of pictures; what describes it stands in its head.
    with page.open(encoding="utf-8", errors="replace") as file:
        head = file.read(20_000).partition("</head>")[0]
    parser = _Head()
    parser.feed(head)
    return parser.named
