"""Find whether each name in a study belongs to the network or the recipe, and give it one spelling."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ablate import models
from ablate.errors import ModelError, StudyError, did_you_mean
from ablate.records.columns import STUDY_COLUMNS
from ablate.study.owners import MODEL, RECIPE, split_owner
from ablate.study.recipe import Recipe
from ablate.study.spec import Range, StudySpec, ValueWhen

WORDS_OF_FILES = {*StudySpec.model_fields, *Range.model_fields, *ValueWhen.model_fields, "ranges"}
RESERVED = {name.casefold() for name in (*STUDY_COLUMNS, *WORDS_OF_FILES)}
"""Names that mean something else in a study file or in the tables, such as `epoch`.

If a keyword of a network has such a name, study files write it with its owner: `model.epoch`. `Epoch` counts
as the same name as `epoch`, because some programs that read tables ignore upper and lower case.
"""


def settle_names(study: StudySpec) -> StudySpec:
    """Return the study with one spelling for every name.

    The spelling is plain, such as `width`. If the plain name is not clear, it is `model.width` instead.

    Raises:
        StudyError: names are unknown, have no clear owner, or are written twice. The error has a line for
            each of these names.
    """
    settled, mistakes = examine_names(study)
    if mistakes:
        raise StudyError(*mistakes)
    return settled


def examine_names(study: StudySpec) -> tuple[StudySpec, list[str]]:
    """Return the study with one spelling for every name and no invalid names, and the list of mistakes.

    Raises:
        StudyError: a network cannot be found or its keywords cannot be read.
    """
    names = _Names(study)
    settled = names.settle()
    if names.unknown:
        raise StudyError(*names.mistakes)
    return settled, names.mistakes


@dataclass
class _Names:
    """The names of one study, and the mistakes in them."""

    study: StudySpec
    mistakes: list[str] = field(default_factory=list)
    keywords: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Maps the name of a network to its keywords and their defaults."""
    unknown: set[str] = field(default_factory=set)
    """The networks whose keywords cannot be read."""
    places: dict[str, str] = field(default_factory=dict)
    """Maps the new spelling of a key to the key's place in the study file."""

    def settle(self) -> StudySpec:
        """Return the study with one spelling for every name and no invalid names."""
        self._read_keywords()
        study, everywhere = self.study, list(self.keywords)
        own = [study.model]
        changed: dict[str, Any] = {}
        if self._knows(own):
            changed["baseline"] = self._spell("baseline", study.baseline, own)
            changed["factors"] = {
                name: [self._spell_condition(v, f"factors.{name}.{i}", own) for i, v in enumerate(values)]
                for name, values in self._spell("factors", study.factors, own).items()
            }
        changed["arms"] = {
            arm: self._spell(f"arms.{arm}", changes, [str(changes.get("model", study.model))])
            for arm, changes in study.arms.items()
            if self._knows([str(changes.get("model", study.model))])
        }
        if self._knows(everywhere):
            ranges = {
                name: tuple(self._spell_condition(span, f"tuning.{name}", everywhere) for span in several)
                for name, several in self._spell("tuning", study.tuning.ranges, everywhere).items()
            }
            changed["tuning"] = study.tuning.model_copy(update={"ranges": ranges})
        unequal = {key: value for key, value in changed.items() if value != getattr(study, key)}
        settled = study.model_copy(update=unequal).add_places(self.places)
        for name in settled.factor_names:
            if name in settled.tuning.ranges:
                self._report(
                    f"tuning.{name}", f"'{name}' is in factors and in tuning: remove it from one of them"
                )
        return settled

    def _read_keywords(self) -> None:
        """Read the keywords of every network. Report each network that cannot be found."""
        study = self.study
        wanted = {study.model: "model"} if study.factors or study.baseline or not study.arms else {}
        for arm, changes in study.arms.items():
            model = str(changes.get("model", study.model))
            wanted.setdefault(model, f"arms.{arm}.model" if "model" in changes else "model")
        for model, key in wanted.items():
            try:
                self.keywords[model] = models.read_keywords(model)
            except ModelError as error:
                self._report(key, str(error))
                self.keywords[model] = {}
                self.unknown.add(model)

    def _knows(self, networks: Sequence[str]) -> bool:
        """Return whether the keywords of all these networks are known. Only then can names be checked."""
        return all(model in self.keywords and model not in self.unknown for model in networks)

    def _spell(self, section: str, named: Mapping[str, Any], of: Sequence[str]) -> dict[str, Any]:
        """Return the mapping with one spelling for every name and no invalid names."""
        spelled: dict[str, Any] = {}
        written: dict[str, str] = {}
        for name, value in named.items():
            key = f"{section}.{name}"
            is_network = name == "model" and section.startswith("arms.")
            one = name if is_network else self._choose(section, name, of)
            if one in written:
                self._report(key, f"is also written as '{written[one]}': keep one of the two")
            elif one is not None:
                written[one] = name
                spelled[one] = value
                if one != name:
                    self._keep_places(key, f"{section}.{one}")
        return spelled

    def _spell_condition(self, part: Any, key: str, of: Sequence[str]) -> Any:
        """Return the value or range with one spelling for every name in its condition."""
        if not isinstance(part, Range | ValueWhen) or not part.when:
            return part
        return part.model_copy(update={"when": self._spell(f"{key}.when", part.when, of)})

    def _choose(self, section: str, name: str, of: Sequence[str]) -> str | None:
        """Choose the spelling of a name for the whole study. Report an invalid name and return None."""
        if mistake := self._find_mistake(section, name, of):
            self._report(f"{section}.{name}", mistake)
            return None
        owner, plain = split_owner(name)
        shared = plain in Recipe.model_fields and any(plain in known for known in self.keywords.values())
        if owner == RECIPE or (owner is None and not self._list_having(plain, of)):
            return f"{RECIPE}.{plain}" if shared else plain
        return f"{MODEL}.{plain}" if shared or plain.casefold() in RESERVED else plain

    def _find_mistake(self, section: str, name: str, of: Sequence[str]) -> str | None:
        """Return what is wrong with a name, or None if the name is valid.

        A name is wrong if it is unknown, or if its owner is not clear.
        """
        owner, plain = split_owner(name)
        having, in_recipe = self._list_having(plain, of), plain in Recipe.model_fields
        if owner is None and having and in_recipe:
            other = f"write {plain} under `recipe`" if section == "baseline" else f"write recipe.{plain}"
            return (
                f"'{plain}' is a keyword of {having[0]} and of the recipe: for the network's keyword "
                f"write {MODEL}.{plain}, for the recipe's keyword {other}"
            )
        if owner is None and having and plain.casefold() in RESERVED:
            told = f"'{plain}' is also {_explain_reserved(plain)}"
            return f"{told}: for the keyword of {having[0]} write {MODEL}.{plain}"
        if (owner == MODEL and not having) or (owner == RECIPE and not in_recipe):
            known = list(Recipe.model_fields) if owner == RECIPE else self._list_keywords(of)
            return _explain_unknown(plain, known, f" of the {'recipe' if owner == RECIPE else 'network'}")
        if not having and not in_recipe:
            told = _explain_unknown(plain, [*self._list_keywords(of), *Recipe.model_fields])
            hiding = next((model for model in of if models.hides_keywords(model)), None)
            return f"{told}{_explain_hidden(hiding)}" if hiding else told
        if section == "baseline" and (owner == RECIPE or not having):
            return f"'{plain}' belongs to the recipe: write it under `recipe`"
        return None

    def _list_having(self, plain: str, of: Sequence[str]) -> list[str]:
        return [model for model in of if plain in self.keywords[model]]

    def _list_keywords(self, of: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(keyword for model in of for keyword in self.keywords[model]))

    def _report(self, key: str, message: str) -> None:
        self.mistakes.append(f"{self.study.locate(key)}: {message}")

    def _keep_places(self, written: str, spelled: str) -> None:
        """Store the place of a key, and of the keys below it, under the new spelling of the key."""
        for key, place in self.study.list_places(written):
            self.places[spelled + key.removeprefix(written)] = place


def _explain_unknown(name: str, known: Sequence[str], of: str = "") -> str:
    told = did_you_mean(name.rpartition(".")[2], known) if known else "it has no keywords"
    if name in models.GIVEN_BY_DATA:
        told = "the data set sets it, so leave it out"
    return f"unknown keyword '{name}'{of}: {told}"


def _explain_reserved(name: str) -> str:
    """Say what a reserved name means: it is a column of the tables or a key of the study file."""
    is_column = name.casefold() in {column.casefold() for column in STUDY_COLUMNS}
    return "a column of the tables" if is_column else "a key of the study file"


def list_spellings(values: Mapping[str, Any], owner: str) -> Iterable[tuple[str, Any]]:
    """Yield every value under its plain name and under the name with its owner."""
    for name, value in values.items():
        yield name, value
        yield f"{owner}.{name}", value


def _explain_hidden(model: str) -> str:
    return (
        f". {model} takes **kwargs, which hide its keywords: name them in its signature, or put "
        "functools.wraps on its decorator"
    )
