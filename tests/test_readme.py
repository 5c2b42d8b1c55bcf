"""What the pages say holds: their answers, examples, commands, links and pictures.

Run as a script, this file prints the table of answers of reports/README.md.
"""

import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest
import typer
from PIL import Image

from ablate.design.designs import lay_out
from ablate.report.answer import list_findings
from ablate.report.evidence import Evidence, gather
from ablate.study import study_file
from tests.commands import ROOT, ablate

PUBLISHED = sorted(
    path.parent.relative_to(ROOT / "reports" / "published").as_posix()
    for path in (ROOT / "reports" / "published").rglob("environment.json")
)
"""The published reports: a folder for each study, or for each context of a study."""
README = (ROOT / "README.md").read_text()
ANSWERS = (ROOT / "reports" / "README.md").read_text()
FILES = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT, capture_output=True, text=True, check=True,
).stdout.splitlines()  # fmt: skip
"""What a fresh clone has, or will have once it is committed."""
PAGES = [name for name in FILES if name.endswith(".md") and (ROOT / name).exists()]
OURS = [name for name in PAGES if not name.startswith("reports/published/")]


@cache
def gather_published(name: str) -> Evidence:
    """The evidence of a published report. It takes half a second, so several tests share it."""
    return gather(ROOT / "reports" / "published" / name)


def test_at_least_eight_seeds_stand_behind_each_answer() -> None:
    for name in PUBLISHED:
        evidence = gather_published(name)
        assert evidence.study.most_seeds >= 8
        assert not evidence.preliminary


def test_the_readme_shows_the_verdict_as_the_command_prints_it() -> None:
    (shown,) = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    printed = [
        f"{finding.subject}: {finding.verdict} {finding.sentence} {finding.cost}"
        for finding in list_findings(gather_published("lenet_pooling"))
    ]
    assert " ".join(shown.split()) == " ".join(printed)


def test_the_readme_tells_how_the_learning_rate_turned_the_ranking() -> None:
    arms = gather_published("lenet_learning_rate").tables["arms"].set_index("arm")
    accuracy = arms["test_accuracy_mean"]
    lead = accuracy["activation=tanh,learning_rate=0.3"] - accuracy["learning_rate=0.3"]
    assert f"tanh leads by {100 * lead:.1f} points" in README
    assert accuracy["activation=tanh"] == pytest.approx(0.1, abs=0.001)
    tuned = gather_published("lenet_activation/chapter").tables["comparisons"].set_index("arm")
    row = tuned.loc["activation=tanh"]
    told = f"tanh leads by {100 * row.difference:.1f} points, 95 % interval {100 * row.ci_low:.1f} to {100 * row.ci_high:.1f}"
    assert told in README


def test_the_readme_tells_how_the_recipe_changes_the_answer() -> None:
    for context, told in {
        "chapter": "max pooling leads by {:.1f} points",
        "modern": "average pooling leads by {:.1f} points (95 % interval {} to {})",
    }.items():
        row = gather_published(f"lenet_pooling_recipes/{context}").tables["comparisons"].iloc[0]
        low, high = (f"{-100 * end:.1f}".replace("-", "−") for end in (row.ci_high, row.ci_low))
        assert told.format(100 * abs(row.difference), low, high) in " ".join(README.split())


def blocks(text: str = README) -> dict[str, str]:
    """The files that a page shows, by the name in their first line."""
    return dict(re.findall(r"```(?:python|yaml)\n# (\w+\.\w+)\n(.*?)```", text, re.DOTALL))


EXAMPLES = {
    name: text
    for page in OURS
    for name, text in blocks((ROOT / page).read_text()).items()
    if name.endswith(".yaml")
}


def test_no_page_shows_a_file_without_its_name() -> None:
    for page in OURS:
        text = (ROOT / page).read_text()
        assert len(re.findall(r"^```(?:python|yaml)$", text, re.MULTILINE)) == len(blocks(text)), page


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - {"my_network.yaml", "my_images.yaml"}))
def test_a_study_that_a_page_shows_can_be_planned(name: str, tmp_path: Path) -> None:
    """The two that need code and images beside them are run to their report below."""
    path = tmp_path / name
    path.write_text(EXAMPLES[name])
    study = study_file.read(path)
    layout = lay_out(study)
    assert layout.arms
    assert study.name == path.stem


def shown_commands() -> list[str]:
    """Every `python -m ablate …` in a block of a page, its remark and line breaks taken out."""
    lines = [
        line
        for page in OURS
        for block in re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
        for line in block.replace("\\\n", " ").splitlines()
    ]
    found = [re.search(r"python -m ablate ([^#]*)", line) for line in lines]
    return sorted({match[1].strip() for match in found if match})


@pytest.mark.parametrize("line", shown_commands())
def test_a_command_that_a_page_shows_exists_with_its_options(line: str) -> None:
    from ablate.cli.main import app

    group = typer.main.get_command(app)
    name, *given = shlex.split(line)
    command = group.commands.get(name)  # type: ignore[attr-defined]
    assert command is not None
    _, left, _ = command.make_parser(command.make_context(name, [], resilient_parsing=True)).parse_args(given)
    assert left == []
    studies = [word for word in given if word.endswith(".yaml")]
    assert all(word in FILES or word in EXAMPLES for word in studies)


@pytest.mark.parametrize(("page", "folder"), [("ablate/README.md", "ablate/"), ("CONTRIBUTING.md", "")])
def test_the_files_that_a_page_sends_a_reader_to_exist(page: str, folder: str) -> None:
    named = re.findall(r"`([\w/]+/[\w/]*(?:\.py)?)`", (ROOT / page).read_text())
    assert named
    for name in named:
        places = (name, folder + name)
        assert any(f == place or f.startswith(place.rstrip("/") + "/") for place in places for f in FILES), (
            name
        )


def anchors(page: str) -> set[str]:
    """The anchors that a code host gives to a page's headings."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_picture_of_a_page_is_in_a_fresh_clone(page: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent.joinpath(path).resolve().relative_to(ROOT).as_posix() if path else page
        folder = any(name.startswith(f"{file}/") for name in FILES)
        if not (file in FILES or folder) or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def arguments(study: str) -> list[str]:
    """Those of the README's own line that runs a study, without its remark."""
    (line,) = re.findall(rf"^python -m ablate (run {study}\.yaml[^#\n]*)", README, re.MULTILINE)
    return line.split()


@pytest.mark.parametrize(
    ("study", "less"),
    [
        ("my_network", ["dataset=digits", "validation=240", "recipe.epochs=1"]),
        ("my_images", ["recipe.epochs=1", "validation=8"]),
    ],
)
def test_what_the_readme_shows_gives_a_report_as_it_stands(
    tmp_path: Path, study: str, less: list[str]
) -> None:
    """Word for word, but for less data and fewer epochs."""
    shown = blocks()
    for name in ("mynets.py", f"{study}.yaml"):
        (tmp_path / name).write_text(shown[name])
        assert len(shown[name].splitlines()) < 30
    for part, count in (("train", 12), ("test", 5)):
        for name, grey in (("dark", 40), ("light", 200)):
            for i in range(count):
                path = tmp_path / "photos" / part / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (40, 30), grey + i).save(path)
    fast = [*less, "seeds=2", "tuning.trials=0", "timing.blocks=0", "--quiet"]
    done = ablate(*arguments(study), *fast, cwd=tmp_path, drawn=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports" / study / "report.html").exists()
