"""The template's features: optional parts, each with its own files.

`features.yml` in the template lists them. Each feature is a yes-or-no question in `copier.yml`. If the answer
is yes, the project has the feature.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from template_update.git import UpdateError

FEATURES_FILE = "features.yml"


@dataclass(frozen=True)
class Feature:
    """A feature of the template, and its state in a project."""

    name: str
    does: str
    """A one-line description."""
    needs: tuple[str, ...]
    """The features that this one requires."""
    is_there: bool
    """Whether the project has the feature."""

    @property
    def state(self) -> str:
        """The state in words."""
        return "installed" if self.is_there else "available"


class Features:
    """The features of a template version, and their state in a project."""

    def __init__(self, text: str, answers: Mapping[str, Any]) -> None:
        """Parse *text*, the content of `features.yml`.

        Raises:
            UpdateError: this version of the template has no features.
        """
        found: dict[str, dict[str, Any]] = yaml.safe_load(text) or {}
        if not found:
            raise UpdateError(
                "This project's version of the template has no list of features. Update it first:"
                " `uv run app template-update`."
            )
        self.all = [
            Feature(name, about["does"], tuple(about["needs"]), answers.get(name) is True)
            for name, about in sorted(found.items())
        ]
        self._by_name = {feature.name: feature for feature in self.all}

    def adding(self, names: Iterable[str]) -> dict[str, bool]:
        """The answers that add the features in *names*.

        Raises:
            UpdateError: a feature is unknown, is already installed, or requires one that is not installed.
        """
        wanted = list(dict.fromkeys(names))
        after = self._there().union(wanted)
        problems = [self._why_not_added(name, after) for name in wanted]
        return self._answers(wanted, True, problems)

    def removing(self, names: Iterable[str]) -> dict[str, bool]:
        """The answers that remove the features in *names*.

        Raises:
            UpdateError: a feature is unknown, is not installed, or is required by another one.
        """
        unwanted = list(dict.fromkeys(names))
        after = self._there().difference(unwanted)
        problems = [self._why_not_removed(name, after) for name in unwanted]
        return self._answers(unwanted, False, problems)

    def _answers(self, names: list[str], answer: bool, problems: list[str]) -> dict[str, bool]:
        if sentences := "\n".join(filter(None, problems)):
            raise UpdateError(sentences)
        return dict.fromkeys(names, answer)

    def _why_not_added(self, name: str, after: set[str]) -> str:
        if name not in self._by_name:
            return self._unknown(name)
        if self._by_name[name].is_there:
            return f"{name} is already installed."
        missing = sorted(self._needed_by(name) - after)
        if missing:
            return f"{name} needs {' and '.join(missing)}: run `uv run app add {' '.join(missing)} {name}`."
        return ""

    def _why_not_removed(self, name: str, after: set[str]) -> str:
        if name not in self._by_name:
            return self._unknown(name)
        if not self._by_name[name].is_there:
            return f"{name} is not installed."
        needing = sorted(other for other in after if name in self._needed_by(other))
        if needing:
            verb = "needs" if len(needing) == 1 else "need"
            command = f"uv run app remove {' '.join(needing)} {name}"
            return f"{' and '.join(needing)} {verb} {name}. To remove all of them: `{command}`."
        return ""

    def _unknown(self, name: str) -> str:
        return f"{name} is not a feature. The features are {', '.join(self._by_name)}."

    def _there(self) -> set[str]:
        return {feature.name for feature in self.all if feature.is_there}

    def _needed_by(self, name: str) -> set[str]:
        """Every feature that *name* requires, directly or indirectly."""
        found: set[str] = set()
        waiting = list(self._by_name[name].needs)
        while waiting:
            need = waiting.pop()
            if need not in found:
                found.add(need)
                waiting += self._by_name[need].needs
        return found
