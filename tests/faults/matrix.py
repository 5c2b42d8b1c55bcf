"""Write README.md, the list of tested faults, from the tests: `python tests/faults/matrix.py`.

A test's name says what holds. A test that came from public bug reports lists them in its docstring, one
`- LINK: what went wrong there. Outcome here.` for each.
"""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
REPORT = re.compile(r"^- (https://\S+): (.+?)(?=^- https://|^\s*$|\Z)", re.MULTILINE | re.DOTALL)


def make_page() -> str:
    """The content of README.md for the tests of this folder."""
    parts = [
        "# Tested faults\n",
        '`python tests/faults/matrix.py` writes this page from the tests in this folder. To change the page, rename a test or edit its docstring. Each line without a link says what a test checks. A link is a public report of a similar fault in another project. The text after the link says what went wrong there. "Mended" means that ablate had the fault, too, and was corrected. "Right before" means that ablate did not have it.\n',
    ]
    for path in sorted(HERE.glob("test_*.py")):
        tree = ast.parse(path.read_text())
        lines = [
            line
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
            for line in _describe(node)
        ]
        parts.append(f"## {(ast.get_docstring(tree) or path.stem).splitlines()[0]}\n\n`{path.name}`\n")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _describe(test: ast.FunctionDef) -> list[str]:
    """The lines for one test: its name, and the public reports that it answers."""
    reports = REPORT.findall(ast.get_docstring(test) or "")
    return [
        f"- {test.name.removeprefix('test_').replace('_', ' ')}{_when(test)}",
        *(f"  - [{_name_report(link)}]({link}): {' '.join(text.split())}" for link, text in reports),
    ]


def _name_report(link: str) -> str:
    """`owner/name#123` for an issue on a code host, or else the site's name."""
    site, *path = link.removeprefix("https://").split("#")[0].strip("/").split("/")
    number = next((part for part in path if part.isdigit()), "")
    return f"{path[0]}/{path[1]}#{number}" if site == "github.com" and number else site


def _when(test: ast.FunctionDef) -> str:
    """How to run a test that `pytest` leaves out, or whose longest cases it leaves out."""
    marks = " ".join(map(ast.unparse, test.decorator_list))
    mark = next((mark for mark in ("slow", "thorough") if f"mark.{mark}" in marks), None)
    if mark is None:
        return ""
    return f" ({'in full ' if 'pytest.param' in marks else ''}by `pytest -m {mark} -n 0`)"


if __name__ == "__main__":
    (HERE / "README.md").write_text(make_page())
