"""Write the index page of a folder of reports. It lists each study's question and its answer in one line."""

from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from ablate.records.files import write_whole
from ablate.report.pages import load_templates

GENERATOR = "ablate"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One report, described by the meta elements of its page."""

    folder: str
    description: dict[str, str]


def write_index(parent: Path) -> Path | None:
    """Write an index.html that lists all reports in `parent`, and return its path.

    If another tool wrote the index.html in `parent`, leave it as it is and return None.
    """
    page = parent / "index.html"
    if page.exists() and read_description(page).get("generator") != GENERATOR:
        return None
    entries = [
        Entry(folder=path.parent.name, description=description)
        for path in sorted(parent.glob("*/report.html"))
        if (description := read_description(path)).get("generator") == GENERATOR
    ]
    html = load_templates(autoescape=True).get_template("index.html.j2").render(entries=entries)
    write_whole(page, html.encode())
    return page


class _Head(HTMLParser):
    """A parser that collects the content of a page's meta elements by name."""

    def __init__(self) -> None:
        super().__init__()
        self.meta: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "meta" and given.get("name"):
            self.meta[str(given["name"])] = given.get("content") or ""


def read_description(page: Path) -> dict[str, str]:
    """Read the meta elements of a page, by name."""
    # A report contains megabytes of pictures, so only the head of its page is read.
    with page.open(encoding="utf-8", errors="replace") as file:
        head = file.read(20_000).partition("</head>")[0]
    parser = _Head()
    parser.feed(head)
    return parser.meta
