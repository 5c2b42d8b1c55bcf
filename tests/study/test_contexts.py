"""A context changes a study file as its text says, and is refused in one line otherwise."""

from pathlib import Path

import pytest

from ablate.design.designs import lay_out
from ablate.design.expected_arms import check_predictions
from ablate.errors import StudyError
from ablate.metrics import METRICS
from ablate.study import study_file
from tests.conftest import SMALL

CONTEXTS = """
contexts:
  chapter: {}
  modern:
    baseline: {model: {activation: relu}}
    recipe: {epochs: 3}
    tuning: {trials: 4}
    predicted: {pooling=max: [-0.01, 0.02]}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SMALL + CONTEXTS)
    return tmp_path / "small.yaml"


def test_a_context_changes_what_it_names_and_nothing_else(path: Path) -> None:
    plain, modern = study_file.read(path), study_file.read(path, ["context=modern"])
    assert list(plain.contexts) == ["chapter", "modern"]
    assert (modern.full_name, modern.contexts) == ("small/modern", {})
    changed = {key for key, *_ in study_file.list_changes(plain, modern) if not key.startswith("contexts")}
    assert changed == {"baseline.model.activation", "recipe.epochs", "tuning.trials", "predicted.pooling=max", "context"}  # fmt: skip
    chapter = study_file.read(path, ["context=chapter"])
    assert {key for key, *_ in study_file.list_changes(plain, chapter) if not key.startswith("contexts")} == {
        "context"
    }


def test_overrides_change_every_context_or_the_named_one(path: Path) -> None:
    overrides = ["recipe.epochs=7", "contexts.modern.seeds=9"]
    assert study_file.read(path, [*overrides, "context=modern"]).recipe.epochs == 7
    assert study_file.read(path, [*overrides, "context=modern"]).seeds == 9
    assert study_file.read(path, [*overrides, "context=chapter"]).seeds == study_file.read(path).seeds


def test_a_resolved_study_reads_back_with_its_contexts(path: Path, tmp_path: Path) -> None:
    written = tmp_path / "study.yaml"
    written.write_text(study_file.dump(study_file.read(path)))
    for chosen in ([], ["context=chapter"], ["context=modern"]):
        assert study_file.dump(study_file.read(written, chosen)) == study_file.dump(
            study_file.read(path, chosen)
        )
    again = tmp_path / "modern.yaml"  # as in the folder of a context
    again.write_text(study_file.dump(study_file.read(path, ["context=modern"])))
    assert study_file.read(again, ["context=modern"]).full_name == "small/modern"
    with pytest.raises(StudyError, match="this study has no contexts"):
        study_file.read(again, ["context=chapter"])


def test_where_one_study_is_needed_a_context_must_be_chosen(path: Path) -> None:
    with pytest.raises(
        StudyError, match=r"small\.yaml:\d+: contexts: this study is answered in chapter and modern"
    ):
        study_file.read_one(path)
    assert study_file.read_one(path, ["context=modern"]).context == "modern"


def test_a_study_without_contexts_is_written_as_before(small) -> None:
    assert not {"contexts:", "context:", "predicted:"} & set(study_file.dump(small()).split())


REFUSED = {
    "a mistake inside": ("epochs: 3", "epochs: three", r"small\.yaml:\d+: recipe\.epochs: 'three'"),
    "an unknown key": ("epochs: 3", "epoch: 3", r"small\.yaml:\d+: unknown key 'epoch': did you mean 'epochs'\?"),
    "another name": ("recipe: {epochs: 3}", "name: x", r"contexts\.modern\.name: a context cannot change this key"),
    "contexts inside": ("recipe: {epochs: 3}", "contexts: {a: {}}", r"contexts\.modern\.contexts: a context cannot"),
    "a folder's name": ("chapter:", "tables:", r"every report has a folder 'tables'"),
    "a path": ("chapter:", "../up:", r"contexts"),
    "a wrong interval": ("[-0.01, 0.02]", "[0.02, -0.01]", r"the lower end of the predicted interval must come first"),
    "a number as a name": ("chapter:", "1:", r"contexts: 1: the name of a context must be a word: write it in quotes"),
    "nothing inside": ("chapter: {}", "chapter:", r"small\.yaml:\d+: contexts\.chapter: must be a mapping of keys: write \{\}"),
    "both forms": ("contexts:", "context: modern\ncontexts:", r"a study cannot have both keys context and contexts"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_context_is_one_line(path: Path, old: str, new: str, told: str) -> None:
    head, _, tail = path.read_text().partition("\ncontexts:")
    path.write_text(head + ("\ncontexts:" + tail).replace(old, new))
    with pytest.raises(StudyError, match=told) as caught:
        study_file.read(path)
    assert all("\n" not in line for line in caught.value.lines)


def test_an_unknown_context_names_the_nearest(path: Path) -> None:
    with pytest.raises(StudyError, match="no context 'moderm': did you mean 'modern'"):
        study_file.read(path, ["context=moderm"])
    path.write_text(SMALL)
    with pytest.raises(StudyError, match="this study has no contexts"):
        study_file.read(path, ["context=modern"])


def test_a_prediction_about_no_arm_is_refused(small) -> None:
    spec = small("predicted={pooling=mx: [0, 1]}")
    with pytest.raises(StudyError, match="no arm of this name: did you mean 'pooling=max'"):
        check_predictions(spec, lay_out(spec))
    spec = small("predicted={baseline: [0, 1]}")
    with pytest.raises(StudyError, match="the baseline cannot differ from itself"):
        check_predictions(spec, lay_out(spec))


def test_the_copy_of_a_whole_file_is_read_as_the_file_with_its_overrides(path: Path, tmp_path: Path) -> None:
    overrides = ["recipe.epochs=7", "contexts.modern.seeds=9", "recipe.batch_size=16"]
    copy = tmp_path / "study.yaml"
    copy.write_text(study_file.copy_whole(path, [*overrides, "context=modern"]))
    for name in ("chapter", "modern"):
        expected = study_file.read(path, [*overrides, f"context={name}"])
        assert study_file.dump(study_file.read(copy, [f"context={name}"])) == study_file.dump(expected)


def test_an_override_of_an_unknown_context_is_refused(path: Path) -> None:
    with pytest.raises(
        StudyError, match="command line: this study has no context 'moderm': did you mean 'modern'"
    ):
        study_file.read(path, ["contexts.moderm.seeds=5"])


def test_a_context_does_not_inherit_what_holds_for_other_images_or_another_metric(small_file: Path) -> None:
    small_file.write_text(
        SMALL
        + "references: [{name: x, metric: test_accuracy, value: 0.9, source: y}]\n"
        + "predicted: {pooling=max: [0, 0.1]}\ndecision: {margin: 0.03}\n"
        + "contexts: {images: {dataset: mnist, validation: 500}, loss: {decision: {metric: log_loss}}, same: {}}\n"
    )
    images, loss, same = (
        study_file.read(small_file, [f"context={name}"]) for name in ("images", "loss", "same")
    )
    assert (images.references, images.predicted) == ((), {})
    assert (loss.decision.margin, loss.predicted) == (METRICS["log_loss"].margin, {})
    assert (len(same.references), len(same.predicted), same.decision.margin) == (1, 1, 0.03)
