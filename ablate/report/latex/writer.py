"""Write a study's results for a paper in LaTeX: table, numbers, methods, sources, figures and an example."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ablate.errors import FolderError, escape_unprintable
from ablate.figures import paper
from ablate.records.files import write_whole
from ablate.report.compute import describe_compute
from ablate.report.evidence import gather
from ablate.report.latex.escape import Latex, finish_value
from ablate.report.latex.methods import describe_methods, list_cited
from ablate.report.latex.quantities import Macro, list_macros
from ablate.report.latex.rows import list_arm_rows, list_differences
from ablate.report.latex.table import make_table
from ablate.report.sources import read_entries


@cache
def load_latex_templates() -> Environment:
    """Load the templates of LaTeX files. They escape every value that is not `Latex`.

    Their marks are `<< value >>`, `<% if … %>` and `<# comment #>`, because LaTeX uses braces itself. The
    filter `comment` writes a text as it is, but in one line.
    """
    environment = Environment(
        loader=PackageLoader("ablate.report"),
        undefined=StrictUndefined,
        finalize=finish_value,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    environment.filters["latex"] = Latex
    environment.filters["comment"] = lambda text: Latex(escape_unprintable(str(text)))
    return environment


def write_latex(folder: Path, to: Path, *, costs: bool = False, prefix: str = "") -> list[Path]:
    """Write table.tex, numbers.tex, methods.tex, references.bib, figures and example.tex into `to`.

    Args:
        folder: a report folder.
        to: the folder to write to. It is made if it does not exist.
        costs: whether the table shows the arms' costs.
        prefix: how the names of all macros begin.

    Returns:
        The written files.

    Raises:
        FolderError: the folder is damaged, or its study is not finished.
    """
    evidence = gather(folder)
    if evidence.preliminary:
        raise FolderError(
            f"{folder}: has no answer yet: finish the study with `run` before you export its table"
        )
    arms, differences = list_arm_rows(evidence), list_differences(evidence)
    content: dict[str, Any] = {
        "study": evidence.study,
        "arms": arms,
        "table": make_table(evidence, arms, differences, costs=costs),
        "macros": list_macros(evidence, arms, differences, prefix),
        **describe_methods(evidence, arms),
        "compute": describe_compute(evidence),
    }
    texts = {name: _render(name, content) for name in ("table.tex", "numbers.tex", "methods.tex")}
    texts["references.bib"] = "\n".join(read_entries()[key] for key in list_cited(texts["methods.tex"]))
    figures = list(paper.draw_for_paper(evidence.study, evidence.tables))
    content |= {"sentences": _list_sentences(content["macros"]), "figures": _list_figures(figures)}
    files = {
        name: text.encode()
        for name, text in {**texts, "example.tex": _render("example.tex", content)}.items()
    }
    files |= {_name_file(figure): figure.pdf for figure in figures}
    for name, written in files.items():
        write_whole(to / name, written)
    return [to / name for name in files]


def _name_file(figure: paper.PaperFigure) -> str:
    return f"figures/{figure.kind.name}-{figure.width}.pdf"


def _list_figures(figures: Sequence[paper.PaperFigure]) -> list[dict[str, str]]:
    """List the files and captions of the figures that are as wide as a page."""
    return [
        {"file": _name_file(one), "title": one.kind.title, "caption": one.kind.caption}
        for one in figures
        if paper.WIDTHS[one.width] == paper.PAGE
    ]


def _render(name: str, content: dict[str, Any]) -> str:
    return load_latex_templates().get_template(f"{name}.j2").render(content)


def _list_sentences(macros: Sequence[Macro]) -> list[dict[str, str]]:
    """List the differences that have an interval: what each is, and the names of its macros."""
    names = {macro.name for macro in macros}
    return [
        {"meaning": one.meaning, "name": one.name}
        for one in macros
        if one.name.endswith("Difference") and f"{one.name}Low" in names
    ]
