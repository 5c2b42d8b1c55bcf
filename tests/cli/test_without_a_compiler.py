"""A machine without a C++ compiler: the torch loop trains, and the commands say so."""

from pathlib import Path

from tests.commands import ablate

NOWHERE = {"CXX": "nowhere", "COLUMNS": "200"}


def test_a_plan_says_that_the_loop_trains_all_arms(small_file: Path) -> None:
    planned = ablate("plan", "small.yaml", cwd=small_file.parent, **NOWHERE)
    assert "The lanes engine is not used: there is no C++ compiler (nowhere)" in planned.stdout


def test_without_a_compiler_a_study_is_answered_by_the_loop_and_one_line_says_so(small_file: Path) -> None:
    command = ["run", "small.yaml", "seeds=1", "tuning.trials=0", "timing.blocks=0", "recipe.epochs=1"]
    done = ablate(*command, cwd=small_file.parent, drawn=False, **NOWHERE)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "compiler" in line]
    assert said == [
        "no lanes engine (there is no C++ compiler (nowhere)): the torch loop trains all runs, "
        "three to five times slower"
    ]


def test_the_doctor_says_what_this_machine_trains_with(tmp_path: Path) -> None:
    said = ablate("doctor", cwd=tmp_path, **NOWHERE).stdout.splitlines()
    found = {line.split()[0]: line.rstrip().split(maxsplit=2)[1:] for line in said}
    assert found["lanes"] == ["no", "there is no C++ compiler (nowhere): the torch loop trains instead"]
    assert found["loop"][0] == found["digits"][0] == "yes"
    assert found["mnist"][0] == "no"
    assert found["versions"][1].startswith("Python 3.")
