"""Write the command that judges a table again."""

import shlex

from ablate.errors import escape_unprintable
from ablate.judging.question import Question
from ablate.judging.table import FRAME


def write_call(question: Question, place: str, experiment: str | None = None) -> str:
    """Write the command that judges the table again. For a data frame, write the call in Python.

    Args:
        question: the question that was put to the table.
        place: the path or the URL of the table, or `FRAME` for a data frame.
        experiment: the experiment that was read, if another tool's records contain several.
    """
    asked = question.columns | {"baseline": question.baseline}
    numbers = {} if question.margin is None else {"margin": float(question.margin)}
    numbers |= {} if question.alpha == Question.alpha else {"alpha": float(question.alpha)}
    if place == FRAME:
        options: dict[str, object] = {**asked, **numbers}
        options |= {"lower_is_better": True} if question.lower_is_better else {}
        told = ", ".join(f"{name}={value!r}" for name, value in options.items())
        return escape_unprintable(f"ablate.judge({FRAME}, {told})")
    texts = asked | ({} if experiment is None else {"experiment": experiment})
    texts |= {name: repr(value) for name, value in numbers.items()}
    words = ["python", "-m", "ablate", "judge", place]
    for name, value in texts.items():
        # A value such as `-x` needs the sign =, or it would be read as another option.
        words += [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value]
    words += ["--lower-is-better"] if question.lower_is_better else []
    return escape_unprintable(shlex.join(words))
