"""The page that says which faults are tested, from the tests' own names: `python tests/faults/matrix.py`."""

import ast
from pathlib import Path

HERE = Path(__file__).parent


def page() -> str:
    """README.md as the tests beside it have it."""
    parts = [
        "# What is tested to go wrong\n",
        "Written by `python tests/faults/matrix.py` from the names of the tests in this folder: edit those.\n",
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
    """What takes minutes runs only where it is asked for, and so do the longest cases of some others."""
    marks = " ".join(map(ast.unparse, test.decorator_list))
    if "pytest.param" in marks and "mark.slow" in marks:
        return " (in full by `pytest -m slow -n 0`)"
    return " (by `pytest -m slow -n 0`)" if "mark.slow" in marks else ""


if __name__ == "__main__":
    (HERE / "README.md").write_text(page())
