"""List the publications that a paper cites, and the licences of known data sets."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """The name, the publications and the licence of a data set."""

    title: str
    cited: tuple[str, ...]
    """Keys of publications.bib."""
    licence: str | None = None
    """The licence as the publisher states it. None if no licence is known."""


DATA_SOURCES: dict[str, DataSource] = {
    "fashion_mnist": DataSource(title="Fashion-MNIST", cited=("xiao2017",), licence="MIT"),
    "mnist": DataSource(title="MNIST", cited=("lecun1998",), licence="CC BY-SA 3.0"),
    "digits": DataSource(
        title="Optical Recognition of Handwritten Digits",
        cited=("alpaydin1998", "pedregosa2011"),
        licence="CC BY 4.0",
    ),
    "kmnist": DataSource(title="Kuzushiji-MNIST", cited=("clanuwat2018",), licence="CC BY-SA 4.0"),
    "qmnist": DataSource(title="QMNIST", cited=("yadav2019",), licence="BSD-style"),
    "emnist_balanced": DataSource(title="EMNIST Balanced", cited=("cohen2017",)),
    "emnist_digits": DataSource(title="EMNIST Digits", cited=("cohen2017",)),
    "cifar10": DataSource(title="CIFAR-10", cited=("krizhevsky2009",)),
    "cifar100": DataSource(title="CIFAR-100", cited=("krizhevsky2009",)),
}
"""The known data sets by their names in a study file."""

NETWORKS: dict[str, tuple[str, str]] = {
    "lenet": ("LeNet-5", "lecun1998"),
    "mlp": ("a multilayer perceptron", "rumelhart1986"),
    "alexnet": ("AlexNet", "krizhevsky2012"),
    "vgg": ("VGG", "simonyan2015"),
    "nin": ("NiN", "lin2014"),
    "googlenet": ("GoogLeNet", "szegedy2015"),
}
"""The known networks by their names in a study file: how a paper names them, and the publication."""


@cache
def read_entries() -> dict[str, str]:
    """Read the publications. Return a mapping from a publication's key to its BibTeX entry."""
    text = files("ablate.report").joinpath("publications.bib").read_text(encoding="utf-8")
    entries = re.findall(r"^(@\w+\{(\w+),\n(?:  .*\n)+\}\n)", text, re.MULTILINE)
    return {key: entry for entry, key in entries}
