"""Writes README.md, the list of tested faults, from the names of the tests: `python tests/faults/matrix.py`."""

import ast
from pathlib import Path

HERE = Path(__file__).parent


def make_page() -> str:
    """The content of README.md for the tests of this folder."""
    parts = [
        "# Tested faults\n",
        "`python tests/faults/matrix.py` writes this page from the names of the tests in this folder. To change the page, rename a test.\n",
    ]
    for path in sorted(HERE.glob("test_*.py")):
        tree = ast.parse(path.read_text())
        names = [
            node.name.removeprefix("test_").replace("_", " ") + _when(node)
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        ]
        parts.append(f"## {(ast.get_docstring(tree) or path.stem).splitlines()[0]}\n\n`{path.name}`\n")
        parts.append("\n".join(f"- {name}" for name in names) + "\n")
    return "\n".join(parts)


def _when(test: ast.FunctionDef) -> str:
    """How to run a test that is slow, or whose longest cases are."""
    marks = " ".join(map(ast.unparse, test.decorator_list))
    if "pytest.param" in marks and "mark.slow" in marks:
        return " (in full by `pytest -m slow -n 0`)"
    return " (by `pytest -m slow -n 0`)" if "mark.slow" in marks else ""


if __name__ == "__main__":
    (HERE / "README.md").write_text(make_page())
