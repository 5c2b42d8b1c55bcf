"""Messages fit on one line and name an install command that works."""

import re
import subprocess
from pathlib import Path

import pytest

from ablate import errors
from tests.commands import ROOT


def test_from_a_clone_an_extra_is_installed_in_place() -> None:
    assert errors.install_command("export") == "pip install -e '.[export]'"


def test_from_a_wheel_an_extra_is_installed_by_the_name_of_the_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "CHECKOUT", tmp_path)
    assert errors.install_command("export") == "pip install 'ablate-studies[export]'"


def test_no_file_tells_anyone_to_install_the_other_project_called_ablate() -> None:
    """The package index has another project of that name."""
    wrong = re.compile(r"""pip install [^\n`&;|]*?(?<![\w./-])["']?ablate(?![\w-])|["']ablate\[\w+\]["']""")
    assert wrong.search("pip install 'ab" + "late[ray]'")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    texts = [
        ROOT / name for name in listed.stdout.splitlines()
        if name.endswith((".py", ".md", ".toml", ".j2", ".js", ".yaml", "run"))
    ]  # fmt: skip
    assert len(texts) > 100
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in texts if path.exists()
        for match in wrong.finditer(path.read_text())
    ]  # fmt: skip
    assert found == []
