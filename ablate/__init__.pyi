"""The types of the public names. `__init__.py` imports each name only when it is first used."""

from ablate.api.judge import JudgedRuns as JudgedRuns
from ablate.api.judge import judge as judge
from ablate.api.plan import Plan as Plan
from ablate.api.plan import plan as plan
from ablate.api.report import Report as Report
from ablate.api.report import load as load
from ablate.api.run import run as run
from ablate.api.study import Study as Study
from ablate.errors import AblateError as AblateError

__version__: str
__all__ = ["AblateError", "JudgedRuns", "Plan", "Report", "Study", "judge", "load", "plan", "run"]
