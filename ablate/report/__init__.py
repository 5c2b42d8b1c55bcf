"""Make a report's sentences and pages from a folder's tables. This package does not import torch."""
