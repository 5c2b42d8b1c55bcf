"""A recipe's precision is the one that the device computes in, or it is refused before anything trains."""

from functools import partial

import pytest
import torch

from ablate.data import loading
from ablate.data.datasets import find_dataset
from ablate.data.loading import prepare_trial_images
from ablate.design.designs import lay_out
from ablate.design.runs import Arm, Run
from ablate.devices.precision import explain_missing, use_precision
from ablate.engines import cohort, lanes
from ablate.engines.loop import LoopTrainer
from ablate.engines.try_out import try_out
from ablate.errors import ModelError, StudyError
from ablate.experiment.try_arms import try_arms
from ablate.study.recipe import Recipe
from tests.cpu import CPU


def run_of(precision: str) -> Run:
    recipe = Recipe(batch_size=32, learning_rate=0.01, init="default", precision=precision)
    return Run(
        phase="confirm",
        arm=Arm(name="a", model="lenet", keywords={}, factors={}, recipe=recipe),
        setting={},
        seed=0,
    )


def train(precision: str) -> torch.Tensor:
    digits = loading.load(find_dataset("digits"), None, CPU)
    trainer = LoopTrainer(run_of(precision), digits, CPU)
    for batch in torch.arange(320).split(32):
        trainer.step(batch)
    assert (trainer.predict(digits.test_images).argmax(1) == digits.test_labels).any()
    return torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])


def test_bfloat16_changes_the_numbers_a_little_and_parameters_stay_float32() -> None:
    exact, rounded = train("float32"), train("bfloat16")
    assert rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    assert torch.allclose(exact, rounded, atol=0.02)


def test_an_engine_that_cannot_compute_so_leaves_the_run_to_the_loop() -> None:
    digits = loading.load(find_dataset("digits"), None, CPU)
    assert lanes.reason_against(run_of("bfloat16"), digits, CPU) == "it does not compute in bfloat16"
    assert cohort.reason_against(run_of("bfloat16"), digits) == "it does not compute in bfloat16"
    assert cohort.reason_against(run_of("tf32"), digits) is None
    assert cohort.make_cohort_key(run_of("tf32")) != cohort.make_cohort_key(run_of("float32"))


def test_a_precision_that_the_device_lacks_is_refused() -> None:
    digits = loading.load(find_dataset("digits"), None, CPU)
    with pytest.raises(
        ModelError, match=r"cpu has no TF32.*: write precision: float32 or bfloat16"
    ) as refused:
        try_out(run_of("tf32"), digits, examples=100, evaluated=(100,))
    assert refused.value.keyword == "recipe.precision"
    assert explain_missing("tf32", torch.device("mps")) is not None
    assert explain_missing("bfloat16", CPU) is explain_missing("float32", CPU) is None


def test_the_line_of_a_factor_is_named(small) -> None:
    study = small("factors={precision: [float32, tf32]}", "tuning={trials: 0}")
    with pytest.raises(StudyError, match=r"factors.precision: arm precision=tf32: cpu has no TF32"):
        try_arms(study, lay_out(study), partial(prepare_trial_images, study.dataset))


def test_full_float32_is_used_unless_the_recipe_says_otherwise() -> None:
    try:
        use_precision("tf32")
        assert torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        use_precision("float32")
    assert not torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"


def test_runs_of_earlier_versions_keep_their_keys() -> None:
    assert "precision" not in Recipe().dump()
    assert "drop_last" not in Recipe().dump()
    assert Recipe(precision="tf32", drop_last=True).dump()["precision"] == "tf32"
