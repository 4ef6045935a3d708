"""Read the recipes that ship with the package."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from frostline.errors import ConfigError

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Spread(_Strict):
    """A figure over several seeds."""

    mean: float
    low: float
    high: float
    n: int = Field(ge=1)
    """Seeds."""

    def __str__(self) -> str:
        """Say it in percent, with the range where there is one."""
        return f"{self.mean:.1%}" + (
            f" ({self.low:.1%} to {self.high:.1%}, n={self.n})" if self.n > 1 else " (one seed)"
        )


class Measured(_Strict):
    """What a recipe gave, on what, at what cost."""

    data: Text
    """What DATA was."""
    flags: str = ""
    """Given beside the recipe's own settings."""
    val: Spread | None = None
    test: Spread | None = None
    seconds: float
    """Whole process, empty store; the median where there were several runs."""
    hardware: Text
    note: str = ""


class Part(_Strict):
    """What a trick is worth: the recipe without it."""

    without: Text
    accuracy: Spread


class Ablation(_Strict):
    """What each trick is worth, as measured."""

    data: Text
    flags: str = ""
    """Given beside the recipe's own settings."""
    score: Literal["val", "test"]
    """Which accuracy."""
    note: str = ""
    parts: tuple[Part, ...]
    """The first is the whole recipe."""


class Recipe(_Strict):
    """Settings with a name."""

    name: str
    title: Text
    tutorial: Literal["T1", "T2", "T3", "T4", "T5"]
    kind: Literal["faithful", "best"]
    data: Text
    """What DATA should be, e.g. a name, or where its pictures come from."""
    fetch: Text
    """What to get, from where (mirrors included), and where to put it."""
    repaired: tuple[Text, ...] = ()
    """What differs from the tutorial, and why."""
    settings: Mapping[str, Any]
    measured: tuple[Measured, ...] = ()
    ablation: Ablation | None = None

    def command(self) -> str:
        """The command that runs it."""
        return f"frostline train {self.data.split()[0]} --recipe {self.name}"


def recipe_names() -> list[str]:
    """Names of all recipes, in the order of the tutorials."""
    recipes = [load_recipe(name) for name in _shipped()]
    return [recipe.name for recipe in sorted(recipes, key=lambda r: (r.tutorial, r.kind == "best", r.name))]


def load_recipe(name: str) -> Recipe:
    """Read one recipe.

    Raises:
        ConfigError: no recipe has that name.
    """
    shipped = _shipped()
    if not isinstance(name, str) or name not in shipped:
        raise ConfigError(f"no recipe is called {name!r}; there are {', '.join(sorted(shipped))}")
    return Recipe(name=name, **yaml.safe_load(shipped[name].read_text(encoding="utf-8")))


def _shipped() -> dict[str, Any]:
    found = files(__package__).iterdir()
    return {file.name.removesuffix(".yaml"): file for file in found if file.name.endswith(".yaml")}
