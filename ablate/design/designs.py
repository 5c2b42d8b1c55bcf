"""Designs: which arms (variants of the network) a study has, and which pairs of arms it compares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from ablate.design.arms import (
    BASELINE,
    assemble,
    check_point,
    collect_baseline_values,
    collect_settings,
    explain_impossible,
    list_values,
    make_arm,
    make_grid,
    name_arm,
    select_changes,
)
from ablate.design.names import examine_names
from ablate.design.refusals import refuse_equal_arms, refuse_ignored
from ablate.design.runs import Arm, Run, Setting
from ablate.errors import StudyError
from ablate.records.run_records import Phase
from ablate.study.spec import FULL, StudySpec, Value, ValueWhen, format_value

MOST_ARMS = 1_000


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The arms of a study, the baseline first, and the pairs of arms that it compares."""

    arms: tuple[Arm, ...]
    contrasts: tuple[tuple[str, str], ...]
    """Pairs of an arm and the arm that it is compared with. The pairs are fixed before training begins."""
    left_out: Mapping[str, str]
    """Maps the name of a combination of values that cannot be built to the reason."""


def lay_out(study: StudySpec) -> Layout:
    """Make the arms and comparisons of a study, in the order of the study file.

    A study with `design: search` has only the baseline at first.

    Raises:
        StudyError: a factor, value or condition of the study is impossible.
    """
    study, mistakes = examine_names(study)
    try:
        layout = _lay_out_arms(study)
    except StudyError as error:
        if not mistakes or study.design != "leave_one_out":
            mistakes += error.lines
    if mistakes:
        raise StudyError(*mistakes)
    if study.arms and len(study.arms) == 1:
        raise StudyError(f"{study.locate('arms')}: one arm alone cannot be compared: add another arm")
    listed = {name: [_drop_condition(value) for value in values] for name, values in study.factors.items()}
    if not study.arms and not any(
        select_changes(study, {n: v}) for n, values in listed.items() for v in values
    ):
        raise StudyError(f"{study.locate('factors')}: nothing differs from the baseline: add another value")
    names = [arm.name for arm in layout.arms]
    for name in names:
        if names.count(name) > 1:
            raise StudyError(f"{study.locate('factors')}: two arms have the name '{name}': remove one")
    for name in study.tuning.ranges if study.design != "search" else ():
        if not any(name in make_grid(study, arm).ranges for arm in layout.arms):
            raise StudyError(f"{study.locate(f'tuning.{name}')}: no arm meets the condition `when`")
    refuse_ignored(study, layout.arms)
    refuse_equal_arms(study, layout.arms)
    for arm in layout.arms:
        for point in make_grid(study, arm).list_points():
            check_point(study, arm, point)
    return layout


def _lay_out_arms(study: StudySpec) -> Layout:
    if study.arms:
        return _lay_out_named(study)
    if study.design == "search":
        return Layout(arms=(make_arm(study, BASELINE, {}, BASELINE),), contrasts=(), left_out={})
    return {
        "one_at_a_time": _lay_out_one_at_a_time,
        "factorial": _lay_out_factorial,
        "leave_one_out": _lay_out_leave_one_out,
    }[study.design](study)


def lay_out_finalists(study: StudySpec, finalists: Sequence[Arm]) -> Layout:
    """Make the layout of a finished search. Each finalist is compared with the baseline."""
    (baseline,) = lay_out(study).arms
    found = (baseline, *finalists)
    return Layout(arms=found, contrasts=_compare_with_first(found), left_out={})


def list_confirm_runs(
    arms: Sequence[Arm], chosen: Mapping[str, Setting], seeds: Mapping[str, int], first_seed: int = 0
) -> list[Run]:
    """List the confirmation runs, ordered by seed. These runs measure every arm with its tuned setting.

    Confirmation and tuning use different seeds. `seeds` maps an arm's name to its number of seeds.
    """
    return [
        Run(
            phase=Phase.CONFIRM,
            arm=arm,
            setting=chosen[arm.name],
            seed=first_seed + place,
            first_seed=first_seed,
        )
        for place in range(max(seeds.values()))
        for arm in arms
        if place < seeds[arm.name]
    ]


def _lay_out_named(study: StudySpec) -> Layout:
    found: list[Arm] = []
    mistakes: list[str] = []
    for name, changes in study.arms.items():
        try:
            found.append(make_arm(study, name, changes, f"arms.{name}"))
        except StudyError as error:
            mistakes += error.lines
    if mistakes:
        raise StudyError(*mistakes)
    return Layout(arms=tuple(found), contrasts=_compare_with_first(found), left_out={})


def _lay_out_one_at_a_time(study: StudySpec) -> Layout:
    _refuse_too_many(study, sum(map(len, study.factors.values())))
    baseline = make_arm(study, BASELINE, {}, BASELINE)
    found = [baseline]
    mistakes: list[str] = []
    for name, alternatives in study.factors.items():
        for position, value in enumerate(alternatives):
            key = f"factors.{name}.{position}"
            if isinstance(value, ValueWhen):
                if not value.applies(collect_settings(baseline)):
                    told = f"no arm meets the condition {name_arm(value.when)}"
                    mistakes.append(f"{study.locate(key)}: {told}, because each arm changes only one factor")
                    continue
                value = value.value
            if changes := select_changes(study, {name: value}):
                try:
                    found.append(make_arm(study, name_arm(changes), changes, key))
                except StudyError as error:
                    mistakes += error.lines
    if mistakes:
        raise StudyError(*mistakes)
    return Layout(arms=tuple(found), contrasts=_compare_with_first(found), left_out={})


def _lay_out_factorial(study: StudySpec) -> Layout:
    """Make an arm for each combination of values.

    A combination that cannot be built is listed with the reason.
    """
    own = collect_baseline_values(study)
    levels = {
        # The baseline is one of the combinations, even if the study file does not list its values.
        name: [
            own[name],
            *(v for v in map(_drop_condition, listed) if format_value(v) != format_value(own[name])),
        ]
        for name, listed in study.factors.items()
    }
    count = 1
    for values in levels.values():
        count *= len(values)
    _refuse_too_many(study, count)
    found, left_out = [make_arm(study, BASELINE, {}, BASELINE)], {}
    possible = set()
    for combination in product(*levels.values()):
        chosen = dict(zip(levels, combination, strict=True))
        changes = select_changes(study, chosen)
        if not changes or not _meets_conditions(study, chosen, found[0]):
            continue
        arm = assemble(study, name_arm(changes), changes, "factors")
        if reason := explain_impossible(study, arm):
            left_out[arm.name] = f"{reason.keyword}: {reason}"
        else:
            found.append(arm)
            possible |= {name_arm({name: value}) for name, value in changes.items()}
    mistakes = []
    for name, listed in study.factors.items():
        for position, value in enumerate(map(_drop_condition, listed)):
            single = name_arm({name: value})
            if select_changes(study, {name: value}) and single not in possible:
                told = f"no arm can have {single}: {left_out.get(single, 'its condition never holds')}"
                mistakes.append(f"{study.locate(f'factors.{name}.{position}')}: {told}")
    if mistakes:
        raise StudyError(*mistakes)
    return Layout(arms=tuple(found), contrasts=_compare_with_first(found), left_out=left_out)


def _refuse_too_many(study: StudySpec, count: int) -> None:
    if count > MOST_ARMS:
        raise StudyError(
            f"{study.locate('factors')}: {count:,} arms are more than {MOST_ARMS:,}: list fewer values"
        )


def _lay_out_leave_one_out(study: StudySpec) -> Layout:
    """Make the arms of a study with `design: leave_one_out`.

    These are the baseline, the full arm (with all changes), and for each factor the full arm without this
    factor. There are also steps from the baseline to the full arm. Each step changes one more factor. The
    last step before the full arm is the same as the full arm without the last factor, so both are one arm.
    """
    for name, listed in study.factors.items():
        if isinstance(listed[0], ValueWhen) and listed[0].when:
            raise StudyError(f"{study.locate(f'factors.{name}')}: leave_one_out allows no conditions")
        if len(listed) > 1 or not select_changes(study, {name: _drop_condition(listed[0])}):
            raise StudyError(
                f"{study.locate(f'factors.{name}')}: leave_one_out takes exactly one value per "
                "factor, and this value must differ from the value of the baseline"
            )
    if len(study.factors) < 2:
        raise StudyError(f"{study.locate('factors')}: leave_one_out needs two factors or more")
    full = {name: _drop_condition(listed[0]) for name, listed in study.factors.items()}
    names = list(full)
    way = {
        name_arm({name: full[name]}) if step == 0 else f"up to {name}": {
            n: full[n] for n in names[: step + 1]
        }
        for step, name in enumerate(names[:-2])
    }
    without = {f"without {name}": {n: full[n] for n in names if n != name} for name in reversed(names)}
    last = f"without {names[-1]}"
    settings = {BASELINE: {}, **way, last: without.pop(last), FULL: full, **dict(reversed(without.items()))}
    found = tuple(make_arm(study, name, changes, "factors") for name, changes in settings.items())
    steps = [BASELINE, *way, last]
    contrasts = (
        (FULL, BASELINE),
        *((f"without {name}", FULL) for name in names),
        *((later, earlier) for earlier, later in pairwise(steps)),
    )
    return Layout(arms=found, contrasts=contrasts, left_out={})


def _compare_with_first(arms: Sequence[Arm]) -> tuple[tuple[str, str], ...]:
    return tuple((arm.name, arms[0].name) for arm in arms[1:])


def _drop_condition(value: ValueWhen | Value) -> Value:
    return value.value if isinstance(value, ValueWhen) else value


def _meets_conditions(study: StudySpec, chosen: Mapping[str, Value], baseline: Arm) -> bool:
    """Return whether the conditions of all chosen values hold."""
    settings = {**collect_settings(baseline), **chosen}
    own = collect_baseline_values(study)
    return all(
        format_value(value) == format_value(own[name])
        or format_value(value) in map(format_value, list_values(study, name, settings))
        for name, value in chosen.items()
    )
