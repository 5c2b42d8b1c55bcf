"""The checklist answers from the folder, and says "not known" where the folder has no answer."""

from pathlib import Path

from ablate.report.checklist import ASKED, list_questions, write_checklist
from ablate.report.evidence import gather
from tests.report.test_writer import HOSTILE, write_folder, write_small_folder


def answer(folder: Path) -> dict[str, str | None]:
    """The answers by key."""
    return {
        key: question.answer
        for key, question in zip(ASKED, list_questions(gather(folder), has_networks=False), strict=True)
    }


def test_the_checklist_has_what_the_folder_says_and_marks_what_it_does_not(tmp_path: Path, small) -> None:
    folder = write_small_folder(tmp_path / "small", small())
    answers = answer(folder)
    assert (
        answers["data"]
        == "Optical Recognition of Handwritten Digits: 1,437 images for training and validation, 360 test images, 10 classes."
    )
    assert answers["licence"] == "Optical Recognition of Handwritten Digits: CC BY 4.0."
    assert answers["versions"] == "SHA-256: pixels abc… (in full in environment.json)."
    assert answers["runs"] is not None
    assert answers["runs"].startswith(
        "10 training runs: 4 to tune and 6 to confirm. Each of the 2 arms has 3 completed"
    )
    assert answers["tuning"] is not None
    assert "0.003 to 0.006" in answers["tuning"]
    unknown = {key for key, told in answers.items() if told is None}
    assert unknown == {"hours", "energy", "code"}
    text = write_checklist(folder, tmp_path).read_text()
    assert text.count("\nnot known\n") == len(unknown)
    assert text.count("\n**") == len(ASKED)


def test_no_name_from_the_folder_can_change_the_checklist(tmp_path: Path, small) -> None:
    from ablate.study import study_file

    text = study_file.dump(small("question=placeholder?")).replace("placeholder?", "'<b>*?'")
    folder = write_folder(
        tmp_path / "small",
        text,
        {"a": [0.8, "diverged", 0.8], "b": [0.8, "failed", 0.9]},
        device_name=HOSTILE,
    )
    checklist = write_checklist(folder, tmp_path).read_text()
    assert "<script>" not in checklist
    assert "<b>" not in checklist
    assert "1 run diverged and 1 run crashed." in checklist
