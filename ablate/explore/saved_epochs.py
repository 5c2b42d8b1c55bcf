"""Pack the networks that an arm had after each epoch, for a saved page."""

from collections.abc import Mapping
from typing import Any

import torch

from ablate.explore.operations import write_operations
from ablate.explore.portable import guesses_alike_in_half
from ablate.explore.session import ExploredArm

MOST_BYTES = 2_900_000
"""The maximum size of an arm's weights of all epochs in the page, in bytes of base64.

With two LeNets, the rest of the page has 2 MB. So the page has less than 8 MB.
"""


def pack_epochs(arm: ExploredArm) -> dict[str, Any] | None:
    """Pack an arm's networks before training and after its epochs, as JSON.

    The page already has the network at the end of training. Of the other networks, only the tensors are
    packed. The weights of an epoch are packed in float16 if all predictions for the test images stay the
    same. If the epochs take more than `MOST_BYTES`, only every second epoch is packed, or every third, and so
    on.

    Returns:
        `last`, the number of epochs; `epochs`, the numbers of the epochs in the page, with 0 and `last`;
        `accuracies`, the test accuracy of each of them; and `tensors`, which maps each of them except `last`
        to the tensors of each operation. None if the networks during training are not kept or too large.
    """
    if arm.epochs is None:
        return None
    last = arm.epochs.last
    packed = {}
    sizes = {}
    accuracies = {last: arm.compute_accuracy(last)}
    for epoch in range(last):
        reader = arm.epochs.read(epoch)
        answers = arm.compute_answers(reader)
        accuracies[epoch] = arm.score(answers)
        kind = torch.float16 if guesses_alike_in_half(arm, reader, answers) else torch.float32
        written = write_operations(reader.network, reader.image_shape, reader.layers, kind)
        packed[epoch] = [_select_tensors(operation) for operation in written]
        sizes[epoch] = sum(
            len(option.get("half") or option["float"]) for one in packed[epoch] for option in one.values()
        )
    step = 1
    while step <= last and sum(sizes[epoch] for epoch in range(0, last, step)) > MOST_BYTES:
        step += 1
    if step > last:
        return None
    shown = [*range(0, last, step), last]
    return {
        "last": last,
        "epochs": shown,
        "accuracies": [accuracies[epoch] for epoch in shown],
        "tensors": {epoch: packed[epoch] for epoch in shown[:-1]},
    }


def _select_tensors(operation: Mapping[str, Any]) -> dict[str, Any]:
    return {name: option for name, option in operation.items() if isinstance(option, Mapping)}
