"""The table and the sentences of a paper have the report's numbers, and LaTeX compiles them whatever the arms are called."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.cli.main import app
from ablate.errors import FolderError
from ablate.figures import paper
from ablate.figures.canvas import use_own_style
from ablate.figures.registry import FIGURES, style_arms
from ablate.formatting import format_p, scale_difference
from ablate.report.evidence import Evidence, gather
from ablate.report.latex.escape import ACCENTS, ASCII, GREEK, SYMBOLS, Latex, escape_latex
from ablate.report.latex.macros import MacroNames
from ablate.report.latex.methods import list_cited
from ablate.report.latex.quantities import list_macros
from ablate.report.latex.rows import list_arm_rows, list_differences
from ablate.report.latex.writer import write_latex
from ablate.report.sources import DATA_SOURCES, NETWORKS, read_entries
from ablate.study import study_file
from tests.report.test_writer import write_folder, write_small_folder

pytestmark = pytest.mark.usefixtures("undrawn")

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "reports" / "published"
HOSTILE = [
    r"100% of \input{secret}", "a_b^c~d", "{}$&#", "--,,''``<<>>", '"quoted" | [3 8] *', "Größe naïve Łódź Ő",
    "α→β ± 0.5 × λ", "emoji 😀👩‍👩‍👧", "עברית \u202etxet", "日本 и русский", "a\nb\tc\x00\x7f", "[first", "*first", "\udcff",
]  # fmt: skip
"""Names that LaTeX, its fonts or the direction of reading could trip over."""
COMMAND = re.compile(r"\\(?:[A-Za-z]+|.)")


@cache
def read(name: str) -> Evidence:
    return gather(PUBLISHED / name)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("50% of a_b", r"50\% of a\_\penalty500{}b"),
        (r"C:\x", r"C:\textbackslash{}x"),
        ("a--b", "a-{}-b"),
        ("Größe", r"Gr\"{o}\ss{}e"),
        ("−1.25 ± 0.5", r"\ensuremath{-}1.25 \ensuremath{\pm} 0.5"),
        ("λ", r"\ensuremath{\lambda}"),
        ("[3 8]", "{[}3 8{]}"),
        ("😀", "{[}U+1F600{]}"),
        ("\u202ea", "{[}U+202E{]}a"),
        ("a\nb", "a b"),
        (Latex(r"\alpha"), r"\alpha"),
    ],
)
def test_text_becomes_latex_that_prints_it(text: str, written: str) -> None:
    assert escape_latex(text) == written


@settings(max_examples=50)
@given(st.text())
def test_any_text_becomes_ascii_without_open_braces_and_with_known_commands_alone(text: str) -> None:
    written = escape_latex(text)
    assert written.isascii()
    assert "\n" not in written
    bare = re.sub(r"\\[{}]", "", written)
    depth = 0
    for character in bare:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    known = {found for part in (*ASCII.values(), *SYMBOLS.values()) for found in COMMAND.findall(part)}
    known |= {f"\\{name}" for name in (*GREEK.values(), *ACCENTS.values(), "ensuremath", "penalty")}
    assert set(COMMAND.findall(written)) <= known
    assert not re.search(r"[%$&#_]", COMMAND.sub("", written))


@settings(max_examples=50)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=8, unique=True), st.text(max_size=5))
def test_macro_names_have_letters_alone_and_tell_all_arms_apart(arms: list[str], prefix: str) -> None:
    names = MacroNames(prefix)
    made = [names.name(arm, quantity) for arm in arms for quantity in ("Difference", "DifferenceLow")]
    assert all(re.fullmatch("[A-Za-z]+", name) for name in made)
    assert len(set(made)) == len(made)
    assert made == [names.name(arm, quantity) for arm in arms for quantity in ("Difference", "DifferenceLow")]


def test_macro_names_spell_the_arm_and_stay_when_a_study_gets_more_arms() -> None:
    names = MacroNames()
    assert names.name("pooling=max", "Difference") == "poolingMaxDifference"
    assert names.name("learning_rate=0.3", "P") == "learningRateZeroPointThreeP"
    assert MacroNames("mine").name("pooling=max", "P") == "minePoolingMaxP"
    alike = names.name("pooling max", "Difference")
    assert alike != "poolingMaxDifference"
    later = MacroNames()
    for arm in ("pooling=max", "added", "pooling max"):
        later.name(arm, "Difference")
    assert later.name("pooling max", "Difference") == alike


@pytest.mark.parametrize("name", ["lenet_pooling", "lenet_modern"])
def test_the_macros_have_the_numbers_of_the_report(name: str) -> None:
    evidence = read(name)
    report = (PUBLISHED / name / "report.md").read_text()
    macros = list_macros(evidence, list_arm_rows(evidence), list_differences(evidence))
    values = {macro.name: str(macro.value).replace(r"\ensuremath{-}", "−") for macro in macros}
    for row in list_arm_rows(evidence):
        if row.measured:
            assert f"| {row.measured.mean}% | {row.measured.low}% to {row.measured.high}% |" in report
    shown = 0
    for stem in [name.removesuffix("Low") for name in values if name.endswith("DifferenceLow")]:
        interval = f"| {values[stem]} | {values[f'{stem}Low']} to {values[f'{stem}High']} |"
        assert interval in report
        shown += 1
    assert shown == evidence.tables["comparisons"]["ci_low"].notna().sum()


def test_an_export_has_one_file_for_each_part_and_its_table_is_that_of_the_report(tmp_path: Path) -> None:
    files = write_latex(PUBLISHED / "lenet_activation" / "chapter", tmp_path, costs=True, prefix="act")
    assert {file.name for file in files} == {
        "table.tex",
        "numbers.tex",
        "methods.tex",
        "references.bib",
        "example.tex",
    }
    table = (tmp_path / "table.tex").read_text()
    row = read("lenet_activation/chapter").tables["comparisons"].set_index("arm").loc["activation=tanh"]
    low, high = (scale_difference(row[end], "points", signed=True) for end in ("ci_low", "ci_high"))
    cells = f"{scale_difference(row['difference'], 'points', signed=True)} & $[{low}, {high}]$ & ${format_p(row['p_holm']).removeprefix('p = ')}$"
    assert f"tanh & 88.10 & $\\pm$ & 0.18 & {cells} \\\\\n" in table
    assert "tanh & 19,266 & 0.86 & 61,706 & 833,040 & 15.8" in table
    assert r"\textbf{gelu}\textsuperscript{*}" in table
    assert r"relu\textsuperscript{\dag}" in table
    assert "after Holm's correction for all 10 pairs of arms" in table
    assert r"\newcommand{\actActivationTanhDifference}{+1.37}" in (tmp_path / "numbers.tex").read_text()
    methods = (tmp_path / "methods.tex").read_text()
    entries = (tmp_path / "references.bib").read_text()
    assert {"xiao2017", "lecun1998", "paszke2019", "akiba2019", "holm1979"} <= set(list_cited(methods))
    assert all(f"{{{key},\n" in entries for key in list_cited(methods))


def test_waiting_times_have_a_block_where_they_were_measured(tmp_path: Path) -> None:
    write_latex(PUBLISHED / "lenet_throughput", tmp_path / "with", costs=True)
    arm = read("lenet_throughput").tables["arms"].set_index("arm").loc["compile=true"]
    waits = (
        1e3 * arm["first_step_seconds"],
        1e3 * arm["inference_seconds"],
        arm["inference_examples_per_second"],
    )
    table = (tmp_path / "with" / "table.tex").read_text()
    assert "{first step (ms)} & {one image (ms)} & {inference (images/s)} \\\\\n" in table
    assert "true & {:,.1f} & {:,.2f} & {:,.0f} \\\\\n".format(*waits) in table
    for name in ("nin_head", "lenet_modern"):  # one is older than these times, the other has too many arms
        write_latex(PUBLISHED / name, tmp_path / name, costs=True)
        assert "first step" not in (tmp_path / name / "table.tex").read_text()
    assert "Latency}" in (tmp_path / "lenet_modern" / "numbers.tex").read_text()


def test_comparisons_among_arms_have_a_table_of_their_own(tmp_path: Path) -> None:
    write_latex(PUBLISHED / "lenet_modern", tmp_path)
    table = (tmp_path / "table.tex").read_text()
    assert table.count(r"\begin{tabular}") == 2
    assert "no mean, because some or all runs of an arm did not train" in table


def test_all_data_sets_and_networks_have_a_publication() -> None:
    cited = {key for source in DATA_SOURCES.values() for key in source.cited} | {
        key for _, key in NETWORKS.values()
    }
    assert cited <= read_entries().keys()


def test_an_unfinished_study_has_no_table(tmp_path: Path, small) -> None:
    folder = write_small_folder(tmp_path / "small", small("seeds=5"))
    with pytest.raises(FolderError, match="has no answer yet"):
        write_latex(folder, tmp_path / "latex")


@pytest.mark.thorough
def test_a_figure_for_a_paper_has_its_width_real_text_and_markers_on_its_curves() -> None:
    evidence = read("lenet_activation/chapter")
    styles = style_arms(evidence.study, evidence.tables)
    kind = next(kind for kind in FIGURES if kind.name == "training_curves")
    with use_own_style():
        figure = kind.draw(kind.data(evidence.study, evidence.tables), evidence.study, styles)
        fitted = paper.fit(figure, paper.COLUMN, styles)
        pdf = paper.render_pdf(fitted)
    assert fitted.get_size_inches()[0] == paper.COLUMN
    curves = [line for axes in fitted.axes for line in axes.lines if len(line.get_xdata()) > 2]
    assert {line.get_marker() for line in curves} == {style.marker for style in styles.values()}
    assert b"/CIDFontType2" in pdf
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf


def test_the_readme_shows_commands_and_macros_that_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    readme = (ROOT / "reports" / "README.md").read_text()
    section = readme[readme.index("## A table in a paper") : readme.index("## Published folders")]
    shutil.copytree(PUBLISHED / "lenet_pooling", tmp_path / "reports" / "lenet_pooling")
    commands = re.findall(r"(?m)^python -m ablate (.*?) +#", section)
    assert len(commands) == 2
    for command in commands:
        app(command.split(), standalone_mode=False)
    assert (tmp_path / "reports" / "lenet_pooling" / "checklist.md").exists()
    numbers = (tmp_path / "reports" / "lenet_pooling" / "latex" / "numbers.tex").read_text()
    (sentence,) = re.findall(r"```tex\n(.*?)```", section, re.DOTALL)
    used = set(re.findall(r"\\([A-Za-z]+)", sentence)) - {"input"}
    assert len(used) == 7
    assert all(rf"\newcommand{{\{name}}}" in numbers for name in used)


needs_tex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")


def compile_example(folder: Path) -> str:
    """Compile the example of an export, and return TeX's log."""
    for command in ("pdflatex", "bibtex", "pdflatex", "pdflatex"):
        options = ["-interaction=nonstopmode", "-halt-on-error"] if command == "pdflatex" else []
        done = subprocess.run([command, *options, "example"], cwd=folder, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-3000:]
    return (folder / "example.log").read_text(errors="replace")


@needs_tex
@pytest.mark.tex
@pytest.mark.drawn
@pytest.mark.parametrize(
    ("name", "costs"),
    [
        ("lenet_pooling", True),
        ("lenet_activation/chapter", True),
        ("convnets", False),
        ("convnets", True),
        ("lenet_modern", False),
        ("lenet_modern", True),
        ("lenet_throughput", True),
        ("lenet_best/mnist", True),
    ],
)
def test_latex_compiles_a_published_report_without_overfull_lines(
    name: str, costs: bool, tmp_path: Path
) -> None:
    write_latex(PUBLISHED / name, tmp_path, costs=costs)
    log = compile_example(tmp_path)
    assert re.findall(r"Overfull.*|LaTeX Warning.*", log) == []


@needs_tex
@pytest.mark.tex
def test_latex_compiles_hostile_names(tmp_path: Path, small) -> None:
    text = study_file.dump(small("seeds=3"))
    arms = {"baseline": [0.8, 0.81, 0.82]} | {
        name: [0.8, 0.83, 0.82] for name in HOSTILE if name.isprintable()
    }
    folder = write_folder(tmp_path / "small", text, arms, device_name=HOSTILE[0], system=HOSTILE[4])
    write_latex(folder, tmp_path / "latex")
    everything = "".join((*ASCII, *SYMBOLS, *GREEK, *HOSTILE, "äéîõūżåěğőçạḇ"))
    (tmp_path / "latex" / "extra.tex").write_text(escape_latex(everything))
    example = (tmp_path / "latex" / "example.tex").read_text()
    (tmp_path / "latex" / "example.tex").write_text(
        example.replace(r"\bibliographystyle", "\\input{extra}\n\\bibliographystyle")
    )
    log = compile_example(tmp_path / "latex")
    assert "Missing character" not in log
