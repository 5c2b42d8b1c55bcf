"""The training loop of Dive into Deep Learning (D2L), with which ablate's throughput is compared."""

import gzip
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import connection, get_context, set_start_method
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from ablate.data import by_torchvision, official
from ablate.data.datasets import DATASETS
from ablate.errors import AblateError
from ablate.execution.fork_server import ignore_interrupts

BATCH_SIZE = 256
LEARNING_RATE = 0.9
LOADER_WORKERS = 4
PATIENCE_SECONDS = 30
Example = tuple[Tensor, int]
"""An image `(1, 28, 28)` and its label."""


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """The times of one epoch of D2L's loop. The epoch ends with an evaluation on the test images."""

    examples: int
    """The number of training examples in the epoch."""
    seconds: float
    """The wall time of the whole epoch with its evaluation, in seconds."""
    step_seconds: float
    """The time that the clock in D2L's loop measures, in seconds.

    This clock measures only the copy to the device, the training step and the running metrics.
    """


def train_as_in_d2l(root: Path, images: int, test_images: int, device: torch.device) -> Iterator[Epoch]:
    """Train LeNet-5 on the first `images` images of Fashion-MNIST, without end. Yield each epoch's times.

    The loop does exactly what D2L's loop does. It uses a data loader and torch's default number of threads.
    It reads the loss and the accuracy at every step. After every epoch, it evaluates LeNet-5 on the first
    `test_images` test images.
    """
    train_data, test_data = open_fashion_mnist(root)
    if images < DATASETS["fashion_mnist"].train_images:
        train_data, test_data = Subset(train_data, range(images)), Subset(test_data, range(test_images))
    # D2L's data loader has four workers on every machine. If a machine has fewer cores, torch would warn.
    warnings.filterwarnings("ignore", message="This DataLoader will create")
    train_loader = DataLoader(train_data, BATCH_SIZE, shuffle=True, num_workers=LOADER_WORKERS)
    test_loader = DataLoader(test_data, BATCH_SIZE, shuffle=False, num_workers=LOADER_WORKERS)
    net = nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5, padding=2),
        nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120),
        nn.Sigmoid(),
        nn.Linear(120, 84),
        nn.Sigmoid(),
        nn.Linear(84, 10),
    )
    net.apply(_initialise)
    net.to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=LEARNING_RATE)
    criterion = nn.CrossEntropyLoss()
    while True:
        started = time.perf_counter()
        step_seconds = train_loss = train_correct = 0.0
        examples = 0
        net.train()
        for x, y in train_loader:
            step_started = time.perf_counter()
            x, y = x.to(device), y.to(device)
            optimizer.zero_grad()
            logits = net(x)
            loss = criterion(logits, y)
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                train_loss += loss.item() * len(y)
                train_correct += (logits.argmax(dim=1) == y).sum().item()
                examples += len(y)
            step_seconds += time.perf_counter() - step_started
        net.eval()
        test_correct = 0.0
        with torch.no_grad():
            for x, y in test_loader:
                x, y = x.to(device), y.to(device)
                test_correct += (net(x).argmax(dim=1) == y).sum().item()
        yield Epoch(examples=examples, seconds=time.perf_counter() - started, step_seconds=step_seconds)


def open_fashion_mnist(root: Path) -> tuple[Dataset[Example], Dataset[Example]]:
    """Open the training and the test images. Use torchvision if it is installed."""
    if not by_torchvision.has_torchvision():
        return ImagesOneByOne(root, "train"), ImagesOneByOne(root, "t10k")
    torchvision = by_torchvision.import_torchvision()
    to_tensor = torchvision.transforms.ToTensor()
    train_data = torchvision.datasets.FashionMNIST(root, train=True, transform=to_tensor)
    return train_data, torchvision.datasets.FashionMNIST(root, train=False, transform=to_tensor)


class ImagesOneByOne(Dataset[Example]):
    """Fashion-MNIST for a machine without torchvision, with the same examples as torchvision's data set.

    Each image is converted by the same steps as in torchvision's FashionMNIST and ToTensor: to a Pillow
    image, to an array, and to a tensor `(1, 28, 28)` with values from 0 to 1.
    """

    def __init__(self, root: Path, part: str) -> None:
        """Read the decompressed files of one part: "train" (training images) or "t10k" (test images)."""
        raw = root / official.FOLDERS["fashion_mnist"] / "raw"
        images = official.decode_idx((raw / f"{part}-images-idx3-ubyte").read_bytes())
        labels = official.decode_idx((raw / f"{part}-labels-idx1-ubyte").read_bytes())
        self._images, self._labels = torch.from_numpy(images.copy()), torch.from_numpy(labels.copy())

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Example:
        image = Image.fromarray(self._images[index].numpy(), mode="L")
        pixels = torch.from_numpy(np.array(image, np.uint8, copy=True))
        pixels = pixels.view(image.size[1], image.size[0], 1).permute(2, 0, 1).contiguous()
        return pixels.to(torch.get_default_dtype()).div(255), int(self._labels[index])


class Peer:
    """Runs D2L's loop in a separate process, to which ablate's settings of threads and cuDNN do not apply."""

    def __init__(self, root: Path, images: int, test_images: int, device: torch.device) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        # The process is not daemonic: a daemonic process cannot start a data loader's workers.
        self._process = context.Process(target=_serve, args=(theirs, root, images, test_images, device.type))
        with ignore_interrupts():
            self._process.start()
        theirs.close()

    def epoch(self) -> Epoch:
        """Train one more epoch.

        Raises:
            AblateError: the process has ended.
        """
        try:
            self._pipe.send(None)
            return self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            raise AblateError(
                f"D2L's loop ended with exit code {self._process.exitcode}: see its error message above"
            ) from None

    def close(self) -> None:
        """End the process. First, wait up to `PATIENCE_SECONDS` until its epoch and its workers end."""
        self._pipe.close()
        self._process.join(PATIENCE_SECONDS)
        self._process.kill()
        self._process.join()


def _serve(pipe: connection.Connection, root: Path, images: int, test_images: int, device: str) -> None:
    if sys.platform == "linux":
        # In a user's script on Linux, the data loader forks its workers by default. This process was spawned,
        # so the data loader would spawn its workers, which is slower.
        set_start_method("fork", force=True)
    epochs = train_as_in_d2l(root, images, test_images, torch.device(device))
    while True:
        try:
            pipe.recv()
            pipe.send(next(epochs))
        except (EOFError, OSError):  # the parent closed the pipe or ended
            return


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Linear | nn.Conv2d):
        nn.init.xavier_uniform_(layer.weight)


def lay_out_files(root: Path | None, folder: Path) -> None:
    """Write Fashion-MNIST's decompressed files to `folder`, in the subfolder that torchvision reads.

    If `root` is None, write images of random noise instead. Their number and shape are those of
    Fashion-MNIST. Noise is enough, because the time of a training step does not depend on the pixels.
    """
    raw = folder / official.FOLDERS["fashion_mnist"] / "raw"
    raw.mkdir(parents=True)
    facts = DATASETS["fashion_mnist"]
    rng = np.random.default_rng(0)
    for file in official.FILES:
        if root is not None:
            stored = root / official.FOLDERS["fashion_mnist"] / "raw" / file
            zipped = stored.with_name(f"{file}.gz")
            content = stored.read_bytes() if stored.exists() else gzip.decompress(zipped.read_bytes())
        else:
            count = facts.train_images if file.startswith("train") else facts.test_images
            shape = (count, *facts.image_shape[1:]) if "images" in file else (count,)
            pixels = rng.integers(256 if "images" in file else facts.classes, size=shape, dtype=np.uint8)
            # An IDX header has two zero bytes, the byte 8 for unsigned bytes, the number of axes, and the
            # size of each axis as a big-endian integer.
            header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
            content = header + pixels.tobytes()
        (raw / file).write_bytes(content)
