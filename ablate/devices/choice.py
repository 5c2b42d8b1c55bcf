"""Choose the device to train on, by the value of `--device`."""

from ablate.errors import AblateError, did_you_mean

KINDS = ("cuda", "mps", "xpu")
"""torch's names for the types of accelerators. AMD's GPUs with ROCm are `cuda`, too."""

HELP = "Train on auto (an accelerator, if there is one), cpu, cuda, cuda:1, mps or xpu."


def choose_device(wanted: str) -> str:
    """Return torch's name of the device for a value of --device: `cpu`, `cuda`, `cuda:1`, `mps`, `xpu`.

    `auto` is the machine's accelerator, or the CPU if there is no accelerator.

    Raises:
        AblateError: the value is unknown, or this machine has no such device.
    """
    if wanted == "cpu":
        return wanted
    import torch  # this import takes a second, and `cpu` does not need it

    found = torch.accelerator.current_accelerator(check_available=True)
    kind, colon, number = wanted.partition(":")
    known = dict.fromkeys(["auto", "cpu", *KINDS, *([] if found is None else [found.type])])
    if kind not in known:
        raise AblateError(f"--device {wanted}: {did_you_mean(kind, list(known))}")
    if colon and (kind in ("auto", "cpu") or not number.isdecimal()):
        raise AblateError(f"--device {wanted}: no device has this name: write a name like cuda:1, or {kind}")
    if found is None:
        if kind == "auto":
            return "cpu"
        raise AblateError(f"--device {wanted}: torch finds no {kind} device here: use --device cpu")
    if kind not in ("auto", found.type):
        raise AblateError(f"--device {wanted}: torch finds no {kind} device here: use --device {found.type}")
    if colon and int(number) >= (count := torch.accelerator.device_count()):
        numbers = "the only number is 0" if count == 1 else f"the numbers are 0 to {count - 1}"
        raise AblateError(f"--device {wanted}: this machine has no device with this number: {numbers}")
    return f"{found.type}{colon}{number}"


def name_kind(device: str) -> str:
    """Return the type of a device without its number: `cuda` for `cuda:1`."""
    return device.partition(":")[0]
