"""The recipe of a study: how every arm is trained."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

LATER_KEYS = (
    "drop_last",
    "precision",
    "schedule",
    "warmup_epochs",
    "step_epochs",
    "step_factor",
    "nesterov",
    "label_smoothing",
    "gradient_clip",
    "memory_format",
    "compile",
)
"""The keys of the recipe that the first version of ablate did not have."""


class Recipe(BaseModel):
    """How every arm is trained. The defaults are the LeNet recipe of "Dive into Deep Learning" (D2L)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Numbers are strict, because pydantic would otherwise accept True as the number 1.
    epochs: Annotated[int, Field(ge=1, le=100_000, strict=True)] = 10
    batch_size: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 256
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)] = 0.9
    momentum: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.0
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)] = 0.0
    init: Literal[
        "default", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal"
    ] = "xavier_uniform"
    augmentation: Literal[
        "none",
        "flip",
        "crop",
        "brightness",
        "flip_crop",
        "flip_brightness",
        "crop_brightness",
        "flip_crop_brightness",
    ] = "none"
    input_size: Annotated[int, Field(ge=1, le=1024, strict=True)] | None = None
    """The side length, in pixels, to which images are resized before training. null means no resizing."""
    train_images: Annotated[int, Field(ge=1, strict=True)] | None = None
    """The number of images to train on. null means all images that are not held out for validation."""
    drop_last: bool = False
    """Whether to leave out an epoch's last batch if it is smaller than `batch_size`."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """The number format in matrix products and convolutions. `tf32` needs an NVIDIA GPU."""

    schedule: Literal["constant", "step", "cosine", "linear", "one_cycle"] = "constant"
    """How the learning rate changes from step to step. `learning_rate` is its largest value."""
    warmup_epochs: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)] = 0.0
    """The number of epochs in which the learning rate rises linearly, before the schedule begins."""
    step_epochs: Annotated[int, Field(ge=1, strict=True)] | None = None
    """The number of epochs between two changes by the schedule `step`. null means a third of `epochs`."""
    step_factor: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.1
    """The factor by which the schedule `step` multiplies the learning rate."""

    nesterov: bool = False
    """Whether SGD uses Nesterov's momentum."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.0
    """The share of the target probability that the training loss distributes evenly over all classes."""
    gradient_clip: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)] = 0.0
    """The maximum norm of the whole gradient. A larger gradient is scaled down. 0 means no limit."""

    memory_format: Literal["auto", "contiguous", "channels_last"] = "auto"
    """The order of image tensors in memory. `auto`: the order with which the network trains faster."""
    compile: bool = False
    """Whether `torch.compile` compiles the network."""

    def dump(self) -> dict[str, Any]:
        """Return all keys and values, but leave out each key of LATER_KEYS that has its default value.

        ablate computes from this dict under which name it stores a run. Earlier versions of ablate did not
        have the keys of LATER_KEYS. Without these keys, the dict is the same as in earlier versions. So
        ablate still finds the runs that an earlier version has stored.
        """
        usual = {key for key in LATER_KEYS if getattr(self, key) == type(self).model_fields[key].default}
        return self.model_dump(exclude=usual)

    def count_examples_per_epoch(self, images: int) -> int:
        """Count the examples that an epoch trains on, out of `images` training images."""
        return images - images % self.batch_size if self.drop_last else images

    def count_step_epochs(self) -> int:
        """Count the epochs between two changes of the learning rate by the schedule `step`."""
        return -(-self.epochs // 3) if self.step_epochs is None else self.step_epochs
