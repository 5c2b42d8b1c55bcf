"""Rules for the code itself, so that a new line cannot bring back an old fault."""

import ast
from pathlib import Path

import pytest

from tests.faults.matrix import HERE, make_page
from tests.test_architecture import FILES

WRITES = {"write_text", "write_bytes", "to_csv", "savefig", "savez", "savez_compressed", "touch"}
ALLOWED = {
    "records.files": "write_whole itself",
    "engines.lanes_library": "the compiled engine in the user's cache, written to a temporary file and renamed",
    "bench.peer": "random data files in a folder of the benchmark",
    "records.predictions": "writes into memory; write_whole writes the file",
    "records.views": "writes into memory; write_whole writes the file",
    "figures.canvas": "writes into memory; write_whole writes the file",
    "figures.paper": "writes into memory; write_whole writes the file",
    "gate.files": "appends to the summary of a pull request, which other steps of the workflow also write",
    "gate.pytest_plugin": "an empty file, which says that the study is trained",
}
"""The modules that may write files without `records.files.write_whole`, each with the reason."""


def writes(node: ast.AST) -> bool:
    """Whether a node is a call that writes a file: a method of a path or table, or `open` in a write mode."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    modes = [a.value for a in [*node.args, *(k.value for k in node.keywords if k.arg == "mode")] if isinstance(a, ast.Constant)]  # fmt: skip
    opens = name == "open" and any(isinstance(m, str) and set(m) & set("wax+") and len(m) <= 3 for m in modes)
    return opens or (name in WRITES and not (name == "to_csv" and not any(not isinstance(a, ast.Constant) for a in node.args)))  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(FILES) - set(ALLOWED)))
def test_all_code_writes_files_atomically(name: str) -> None:
    tree = ast.parse(FILES[name].read_text())
    assert [node.lineno for node in ast.walk(tree) if writes(node)] == []


def test_no_code_reads_a_checkpoint_or_an_array_as_a_pickle() -> None:
    for name, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):  # fmt: skip
                given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
                called = f"{node.func.value.id}.{node.func.attr}"
                assert called != "torch.load" or given.get("weights_only") is True, name
                assert called != "np.load" or given.get("allow_pickle") is False, name
                assert called not in ("pickle.load", "pickle.loads"), name


def test_the_page_of_tested_faults_lists_the_tests_as_they_are_named() -> None:
    assert (HERE / "README.md").read_text() == make_page(), "run python tests/faults/matrix.py"


def test_the_security_page_says_what_is_trusted_and_where_to_report() -> None:
    text = (Path(__file__).parents[2] / "SECURITY.md").read_text()
    for part in ("## Trusted", "## Not trusted", "## Report", "--plugin"):
        assert part in text
