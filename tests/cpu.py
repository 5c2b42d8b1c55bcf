"""The device of most tests."""

import torch

CPU = torch.device("cpu")
