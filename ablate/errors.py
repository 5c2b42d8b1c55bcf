"""What can be wrong with what a person gave us; each error is one line that ends with the remedy."""

MOST_LETTERS = 1_000


class AblateError(Exception):
    """Something a person can put right; the command line prints it as one line and exits with 2.

    Names out of files of any origin stand in messages: what would break the line, move a terminal's cursor
    or not be encoded at all is written as its escape.
    """

    def __init__(self, message: str = "") -> None:
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in message)
        if len(shown) > MOST_LETTERS:  # the place stands in front, the remedy at the end
            shown = f"{shown[: MOST_LETTERS // 2]} … {shown[-MOST_LETTERS // 2 :]}"
        super().__init__(shown)


def in_a_line(error: BaseException) -> str:
    """Somebody else's exception: its kind and the first line of what it says."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


class StudyError(AblateError):
    """A study file asks for something that does not exist or cannot be."""


class ModelError(AblateError):
    """A model's keywords describe no possible network; `keyword` names the culprit."""

    def __init__(self, keyword: str, message: str) -> None:
        super().__init__(message)
        self.keyword = keyword

    def __reduce__(self) -> tuple[type["ModelError"], tuple[str, str]]:
        """Let the error cross from a worker process to its parent."""
        return type(self), (self.keyword, str(self))


class DataError(AblateError):
    """A data set is missing, incomplete or not the one it claims to be."""


class FolderError(AblateError):
    """A report folder belongs to another study, another process, or cannot be written."""
