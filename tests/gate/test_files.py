"""The gate's files say what the gate found, to programs, to people and to CI services."""

import json
import shlex
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
import typer
from ruamel.yaml import YAML

import ablate.gate
from ablate.cli.main import app
from ablate.errors import FolderError
from ablate.gate.checks import Demand, Gate, check_folders
from ablate.gate.files import VERSION, Subject, make_json, make_junit, make_summary, write_files
from ablate.gate.rules import Outcome, Reason, Requirement
from tests.commands import ROOT

SCHEMA = json.loads((Path(ablate.gate.__file__).parent / "schema.json").read_text())
SUBJECT = Subject(study="small", first="reports/a", second="reports/b|<b>")


@pytest.fixture(scope="session")
def gates(evidence) -> dict[str, Gate]:
    """A gate of each outcome."""
    a = evidence("a", base=0.9, arm=0.93)
    demand = Demand(require=Requirement.NO_WORSE, throughput=0.5, parameters=1.0)
    second = {
        "holds": evidence("b", base=0.9, arm=0.93),
        "does not hold": evidence("b", base=0.9, arm=0.90),
        "cannot tell": evidence("b", noise=9.0, base=0.9, arm=0.93),
    }
    return {outcome: check_folders(a, b, demand) for outcome, b in second.items()}


def test_the_schema_has_every_outcome_reason_and_requirement() -> None:
    check = SCHEMA["properties"]["checks"]["items"]["properties"]
    assert SCHEMA["$defs"]["outcome"]["enum"] == [outcome.value for outcome in Outcome]
    assert SCHEMA["$defs"]["reason"]["enum"] == [reason.value for reason in Reason]
    assert check["requirement"]["enum"] == [requirement.value for requirement in Requirement]
    assert SCHEMA["properties"]["version"]["const"] == VERSION
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("outcome", ["holds", "does not hold", "cannot tell"])
def test_the_json_of_every_outcome_follows_the_schema(gates, outcome: str) -> None:
    content = json.loads(json.dumps(make_json(gates[outcome], SUBJECT), allow_nan=False))
    jsonschema.validate(content, SCHEMA)
    assert content["outcome"] == outcome
    assert content["exit_code"] == {"holds": 0, "does not hold": 1, "cannot tell": 3}[outcome]
    assert (content["checks"][0]["count_needed"] is not None) == (outcome == "cannot tell")


def test_the_summary_has_one_line_a_check_and_folds_the_rest(gates) -> None:
    told = make_summary(gates["does not hold"], SUBJECT)
    shown, _, folded = told.partition("<details>")
    assert shown.startswith("### ❌ small: does not hold: no-worse: arm\n")
    assert "| ❌ does not hold | no worse in accuracy (margin 1 point) | arm | −3.00 points" in shown
    assert len([line for line in shown.splitlines() if line.startswith("| ✅")]) == 4
    assert "reports/b\\|&lt;b&gt;" in shown
    assert "B is worse by more than the margin of 1 point." in folded
    assert told.endswith("</details>\n\n")


def test_the_intervals_are_drawn_beside_the_margin(gates) -> None:
    lines = make_summary(gates["does not hold"], SUBJECT).partition("```text\n")[2].splitlines()[:3]
    assert "← B is worse" in lines[0]
    zero = lines[1].index("│") if "│" in lines[1] else lines[1].index("●")
    assert lines[2].index("●") < lines[2].index("┊") < zero
    assert len(lines[2]) < 80


def test_junit_fails_what_does_not_hold_and_errs_where_nobody_can_tell(gates) -> None:
    for outcome, kind, number in (("does not hold", "failure", 1), ("cannot tell", "error", 2)):
        suite = ElementTree.fromstring(make_junit(gates[outcome], SUBJECT)).find("testsuite")
        assert suite is not None
        assert suite.get(f"{kind}s") == str(number)
        wrong = [case for case in suite.iter("testcase") if case.find(kind) is not None]
        assert len(wrong) == number
        assert wrong[-1].get("classname") == "small.no-worse"
        assert wrong[-1].get("name") == "arm"
        assert len(list(suite.iter("testcase"))) == 5


def test_a_summary_is_appended_and_the_other_files_are_replaced(gates, tmp_path: Path) -> None:
    places = {
        "json_file": tmp_path / "g.json",
        "summary_file": tmp_path / "s.md",
        "junit_file": tmp_path / "j.xml",
    }
    (tmp_path / "s.md").write_text("what an earlier step wrote\n")
    for outcome in ("holds", "cannot tell"):
        assert len(write_files(gates[outcome], SUBJECT, **places)) == 3
    assert json.loads(places["json_file"].read_text())["outcome"] == "cannot tell"
    told = places["summary_file"].read_text()
    assert told.startswith("what an earlier step wrote\n### ✅")
    assert "### ❔" in told
    with pytest.raises(FolderError, match=r"s\.md: cannot be written \(No such file or directory\)"):
        write_files(gates["holds"], SUBJECT, summary_file=tmp_path / "none" / "s.md")


def test_the_commands_of_the_example_workflow_exist_with_their_options() -> None:
    job = YAML(typ="safe").load((ROOT / "reports" / "gate_workflow.yml").read_text())["jobs"]["accuracy"]
    lines = [shlex.split(step["run"]) for step in job["steps"] if "ablate " in step.get("run", "")]
    assert [line[3] for line in lines] == ["run", "compare"]
    group = typer.main.get_command(app)
    for _python, _m, _ablate, name, *given in lines:
        command = group.commands[name]  # type: ignore[attr-defined]
        context = command.make_context(name, [], resilient_parsing=True)
        values, left, _ = command.make_parser(context).parse_args(given)
        assert left == []
    assert (values["require"], values["summary"]) == ("no-worse", "$GITHUB_STEP_SUMMARY")
