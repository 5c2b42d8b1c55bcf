"""What the name of a metric says: whether its values are shares, and whether lower values are better."""

import re

_SHARE_WORD = re.compile(
    r"(train|test|val|valid)?acc(uracy|uracies)?\d*|m?f1(score)?|(pr|roc)?auc|au(roc|prc)|precision|recall|m?iou|"
    r"map\d*|dice|top[15]"
)
"""Words of names of metrics that are usually shares, from 0 to 1 or in per cent."""
_LOSS_WORD = re.compile(
    r"(train|test|val|valid|log)?loss(es)?|errors?|err|perplexity|ppl|n?rmse|mae|mape|n?mse|wer|cer|fid|brier|nll|"
    r"(milli)?seconds?|secs?|(run|wall|train|training)?time|latency|duration"
)
"""Words of names of metrics for which a lower value is usually better."""
_PLACE = re.compile(r"top[15]")
"""`top1` says that values are shares, but not whether they are accuracies or errors."""


def is_share_name(name: str) -> bool:
    """Return whether a word of the metric's name says that its values are shares."""
    return any(_SHARE_WORD.fullmatch(word) for word in _split_words(name))


def guess_direction(name: str) -> bool | None:
    """Return whether the metric's name says that higher values are better. Return None if it is not clear."""
    words = [word for word in _split_words(name) if not _PLACE.fullmatch(word)]
    lower = any(_LOSS_WORD.fullmatch(word) for word in words)
    higher = is_share_name(" ".join(words)) or (is_share_name(name) and not lower)
    return None if lower == higher else higher


def _split_words(name: str) -> list[str]:
    """Split a name at signs and before capital letters: `valLoss` gives `val` and `loss`."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", name)
    joined = re.sub(r"(?i)\btop[ _@-]?([15])(?![0-9])", r"top\1", re.sub(r"[^A-Za-z0-9@-]+", " ", apart))
    return re.findall(r"[a-z0-9]+", joined.lower())
