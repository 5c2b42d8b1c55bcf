"""A study file is read into what it says, or refused in one line that names file, line, key and remedy."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.errors import StudyError
from ablate.study import study_file
from ablate.study.spec import StudySpec
from tests.conftest import SMALL, STUDIES


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_of_ours_is_named_like_its_file_and_asks_a_question(path: Path) -> None:
    spec = study_file.read(path)
    assert spec.name == path.stem
    assert spec.question.endswith("?")


@pytest.mark.parametrize("fallback", [False, True])
def test_a_resolved_study_reads_back_as_itself(tmp_path: Path, fallback: bool) -> None:
    spec = study_file.read(STUDIES / "lenet_pooling.yaml", ["seeds=7"], fallback=fallback)
    written = tmp_path / "study.yaml"
    written.write_text(study_file.dump(spec))
    assert list(study_file.list_changes(study_file.read(written), spec)) == []


def test_numbers_and_words_mean_what_they_look_like(small) -> None:
    spec = small("recipe.learning_rate=1e-3", "baseline.activation=no", "baseline.output_activation=null")
    assert spec.recipe.learning_rate == 0.001
    assert spec.baseline["activation"] == "no"
    assert spec.baseline["output_activation"] is None


def test_the_fallback_is_laid_over_the_study_and_overrides_over_both() -> None:
    spec = study_file.read(STUDIES / "lenet_pooling.yaml", ["recipe.epochs=3"], fallback=True)
    assert str(spec.dataset) == "digits"
    assert spec.recipe.optimizer == "adam"
    assert spec.recipe.epochs == 3
    assert spec.tuning.ranges["learning_rate"][0].low == 0.00075


def test_the_fallback_holds_out_the_same_share_and_drops_figures_published_for_other_data() -> None:
    pooling = study_file.read(STUDIES / "lenet_pooling.yaml", fallback=True)
    assert pooling.validation == 240  # 10,000 of 60,000, as 240 of 1,437
    published = study_file.read(STUDIES / "lenet_published.yaml", fallback=True)
    assert published.validation == 0
    assert published.references == ()


def test_a_metric_of_accuracy_in_an_older_study_file_is_dropped(small, small_file: Path) -> None:
    small_file.write_text(SMALL + "decision: {metric: accuracy, margin: 0.02}\n")
    older = study_file.read(small_file)
    assert older.decision.margin == 0.02
    assert "metric" not in study_file.dump(older)
    small_file.write_text(SMALL)
    assert not list(study_file.list_changes(older, small("decision.margin=0.02")))


def test_a_key_knows_its_line(small) -> None:
    spec = small("seeds=4")
    assert spec.locate("factors.pooling.1").endswith("small.yaml:6: factors.pooling.1")
    assert spec.locate("recipe.momentum").endswith("small.yaml:7: recipe.momentum")
    assert spec.locate("seeds") == "command line: seeds"


INVALID = {
    "unknown key": ("epochs: 2", "epoch: 2", r"small\.yaml:7: unknown key 'epoch': did you mean 'epochs'\?"),
    "wrong type": ("epochs: 2", "epochs: two", r"small\.yaml:7: recipe\.epochs: 'two'"),
    "fraction of an epoch": ("epochs: 2", "epochs: 2.5", r"small\.yaml:7: recipe\.epochs: 2\.5"),
    "true is no number": ("epochs: 2", "epochs: true", r"small\.yaml:7: recipe\.epochs: True"),
    "unknown word": ("adam", "adm", r"small\.yaml:7: recipe\.optimizer: 'adm' is not known: did you mean 'adam'\?"),
    "not a number": ("0.003}", ".nan}", r"small\.yaml:7: recipe\.learning_rate: nan: not a number"),
    "infinite": ("0.003}", ".inf}", r"small\.yaml:7: recipe\.learning_rate: inf"),
    "inverted range": ("high: 0.006", "high: 0.001", r"small\.yaml:8: .*low 0\.003 is not below high 0\.001"),
    "empty range": ("high: 0.006", "high: 0.003", r"small\.yaml:8: .*swap them or widen the range"),
    "logarithm of zero": ("low: 0.003", "low: 0", r"small\.yaml:8: .*has no logarithm"),
    "value twice": ("[avg, max]", "[avg, avg]", r"small\.yaml:6: .*lists 'avg' twice"),
    "no values": ("[avg, max]", "[]", r"small\.yaml:6: factors\.pooling"),
    "mapping as value": ("[avg, max]", "[{a: 1}]", r"small\.yaml:6: 'factors\.pooling\.0\.value' is missing"),
    "mapping in a mapping": ("[avg, max]", "[{value: {a: 1}}]", r"small\.yaml:6: factors\.pooling\.0\.value: .*must be a word, a number"),
    "a condition of another key": ("[avg, max]", "[avg, {value: max, wen: {}}]", r"small\.yaml:6: unknown key 'wen': did you mean 'when'\?"),
    "factors and arms": ("factors: {pooling: [avg, max]}", "factors: {pooling: [avg, max]}\narms: {a: {}, b: {pooling: max}}", r"either factors or named arms"),
    "arms and a design": ("factors: {pooling: [avg, max]}", "arms: {a: {}, b: {pooling: max}}\ndesign: factorial", r"leave the design out"),
    "neither factors nor arms": ("factors: {pooling: [avg, max]}\n", "", r"either factors or named arms"),
    "an arm like a formula": ("factors: {pooling: [avg, max]}", "arms: {a: {}, '=cmd()': {pooling: max}}", r"must not begin like a spreadsheet formula"),
    "true as a rate": ("0.003}", "true}", r"small\.yaml:7: recipe\.learning_rate: True"),
    "a value of two lines": ("[avg, max]", '["a\\nb"]', r"small\.yaml:6: factors\.pooling\.0: must not contain control characters"),
    "an arm like a blank": ("factors: {pooling: [avg, max]}", "arms: {a: {}, ' ': {pooling: max}}", r"must not begin or end with a blank"),
    "search without its design": ("seeds: 3", "search: {candidates: 4}", r"search needs `design: search`: add this design"),
    "search without validation": ("validation: 240", "validation: 0\ndesign: search\ntuning: {trials: 0}", r"duplicate key|a search needs validation images"),
    "a batch beyond all bounds": ("batch_size: 64", "batch_size: 1000000000000", r"small\.yaml:7: recipe\.batch_size"),
    "an unknown word in the fallback": ("seeds: 3", "fallback:\n  dataset: nope", r"small\.yaml:10: dataset: 'nope' is not known"),
    "an unknown key in the fallback": ("seeds: 3", "fallback: {sedes: 3}", r"small\.yaml:9: unknown key 'sedes': did you mean 'seeds'"),
    "another metric": ("seeds: 3", "decision: {metric: loss}", r"small\.yaml:9: decision\.metric: 'loss' is not known: did you mean 'log_loss'"),
    "unknown design": ("seeds: 3", "design: factrial", r"'factrial' is not known: did you mean 'factorial'\?"),
    "no seeds": ("seeds: 3", "seeds: 0", r"small\.yaml:9: seeds: 0"),
    "a first seed too high": ("seeds: 3", "seeds: 3\nfirst_seed: 9998", r"small\.yaml:10: first_seed 9,998 and 3 seeds end above seed 9,999: lower it to 9,997"),
    "everything held out": ("validation: 240", "validation: 1437", r"takes 1,437 of 1,437 training images: leave"),
    "the default held out": ("validation: 240", "", r"takes 10,000 \(its default\) of 1,437 .* leave at least 10 to"),
    "nothing to tune on": ("validation: 240", "validation: 0", r"tuning needs validation images"),
    "both factor and tuned": ("{pooling: [avg, max]}", "{learning_rate: [1, 2]}", r"'learning_rate' is in factors and in tuning"),
    "duplicate key": ("seeds: 3", "seeds: 3\nseeds: 4", r"small\.yaml:10: found duplicate key"),
    "alias": ("seeds: 3", "x: &a 1\ny: *a", r"small\.yaml:10: alias '\*a' is not allowed: write the value itself"),
    "anchor twice": ("seeds: 3", "x: &a 1\ny: &a 2", r"small\.yaml:10: anchor '&a' is defined twice: remove it"),
    "tab": ("seeds: 3", "\tseeds: 3", r"small\.yaml:9: "),
    "control character": ("seeds: 3", "seeds: \x00", r"is not YAML"),
    "code": ("seeds: 3", "seeds: !!python/name:os.system", r"small\.yaml:9: tag .*python/name:os\.system' is not allowed: write the plain value"),
    "path as name": ("name: small", "name: ../../small", r"small\.yaml:1: name"),
    "name too long": ("name: small", "name: " + "x" * 300, r"small\.yaml:1: name"),
    "question missing": ("question: Does max pooling beat average pooling?\n", "", r"'question' is missing"),
    "a list": (SMALL, "- name", r"is not a study"),
    "nothing": (SMALL, "", r"is not a study"),
    "too long": (SMALL, SMALL + "#" * 64_000, r"more than 64,000 bytes, the limit of a study file: shorten it"),
}  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "message"), INVALID.values(), ids=INVALID)
def test_a_mistake_is_named_with_its_place_and_remedy(
    small_file: Path, good: str, bad: str, message: str
) -> None:
    assert good in SMALL
    small_file.write_text(SMALL.replace(good, bad))
    with pytest.raises(StudyError, match=message) as caught:
        study_file.read(small_file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seeds", "is not KEY=VALUE"),
        ("=3", "is not KEY=VALUE"),
        ("recipe..epochs=3", "is not KEY=VALUE"),
        ("seeds=[", "is not a YAML value"),
        ("decision.alfa=0.1", "command line: unknown key 'alfa': did you mean 'alpha'"),
        ("tuning.learning_rate.lo=1", "command line: unknown key 'lo': did you mean 'low'"),
        ("seeds.x=1", "'seeds' is a value and has no keys below it"),
    ],
)
def test_a_mistaken_override_is_named_as_such(small, override: str, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        small(override)


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no such study file"):
        study_file.read(tmp_path / "nowhere.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(StudyError, match="is not UTF-8 text"):
        study_file.read(binary)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, len(SMALL) - 1), cut=st.integers(0, 8), insert=st.text(max_size=8))
def test_whatever_is_written_is_a_study_or_one_line(tmp_path_factory, at: int, cut: int, insert: str) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_text(SMALL[:at] + insert + SMALL[at + cut :], encoding="utf-8", errors="replace")
    try:
        assert isinstance(study_file.read(path), StudySpec)
    except StudyError as error:
        assert all(line.isprintable() for line in str(error).split("\n"))


def test_a_metric_on_the_command_line_brings_its_own_margin(small, small_file: Path) -> None:
    assert small("decision.margin=0.003").decision.margin == 0.003
    assert small("decision.metric=log_loss").decision.margin == 0.02
    assert small("decision.metric=log_loss", "decision.margin=0.3").decision.margin == 0.3
    spec = small("decision.metric=log_loss")
    assert [key for key, _, _ in study_file.list_changes(small(), spec)] == [
        "decision.metric",
        "decision.margin",
    ]
    assert "metric" not in study_file.dump(small())
