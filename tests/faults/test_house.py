"""What must hold in the code itself, so that no new line lets an old fault in."""

import ast
from pathlib import Path

import pytest

from tests.faults.matrix import HERE, page
from tests.test_architecture import FILES

WRITES = {"write_text", "write_bytes", "to_csv", "savefig", "savez", "savez_compressed", "touch"}
ALLOWED = {
    "records.files": "write_whole itself",
    "engines.lanes_library": "the compiled engine, in the user's cache, put in place in one step",
    "bench.peer": "made-up data files in a folder of the bench's own",
    "records.views": "into memory, for write_whole",
    "figures.canvas": "into memory, for write_whole",
    "records.folder": "a database tried beside its place",
}
"""Which files may write otherwise than through `records.files.write_whole`, and why."""


def writes(node: ast.AST) -> bool:
    """Whether a call writes a file: by a method of paths and tables, or by opening one to write."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    modes = [a.value for a in [*node.args, *(k.value for k in node.keywords if k.arg == "mode")] if isinstance(a, ast.Constant)]  # fmt: skip
    opens = name == "open" and any(isinstance(m, str) and set(m) & set("wax+") and len(m) <= 3 for m in modes)
    return opens or (name in WRITES and not (name == "to_csv" and not any(not isinstance(a, ast.Constant) for a in node.args)))  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(FILES) - set(ALLOWED)))
def test_a_file_is_written_whole_or_not_at_all(name: str) -> None:
    tree = ast.parse(FILES[name].read_text())
    assert [node.lineno for node in ast.walk(tree) if writes(node)] == []


def test_no_checkpoint_and_no_array_is_read_as_a_pickle() -> None:
    for name, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):  # fmt: skip
                given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
                called = f"{node.func.value.id}.{node.func.attr}"
                assert called != "torch.load" or given.get("weights_only") is True, name
                assert called != "np.load" or given.get("allow_pickle") is False, name
                assert called not in ("pickle.load", "pickle.loads"), name


def test_the_page_of_faults_says_what_the_tests_are_called() -> None:
    assert (HERE / "README.md").read_text() == page(), "run python tests/faults/matrix.py"


def test_the_page_on_security_says_what_is_trusted_and_where_to_report() -> None:
    text = (Path(__file__).parents[2] / "SECURITY.md").read_text()
    for part in ("## Trusted", "## Not trusted", "## Report", "--plugin"):
        assert part in text
