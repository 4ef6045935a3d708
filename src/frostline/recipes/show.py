"""Recipes as text for the terminal."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from frostline.columns import table
from frostline.recipes.catalog import Ablation, Measured, Recipe

WIDTH = 100
ACCURACY = {"val": "validation", "test": "test"}
_STICKS = "\0"
"""Stands for a space inside a flag while lines are broken."""


def recipe_table(recipes: Sequence[Recipe]) -> str:
    """A line per recipe: what it is, and what it was measured to give."""
    rows = [(r.name, r.tutorial, r.kind, _accuracy(r), _data(r), _seconds(r), r.title) for r in recipes]
    how = "frostline train DATA --recipe NAME runs one, any flag overrides it; frostline recipes NAME shows it whole"
    star = ["* with flags beside it, which frostline recipes NAME tells"] if any(map(_mark, recipes)) else []
    shown = table(("recipe", "after", "kind", "measured", "on", "time", "what"), rows, right=(5,))
    return "\n".join([shown, *star, how])


def recipe_text(recipe: Recipe) -> str:
    """One recipe: command, data, settings, what it gave, what was repaired."""
    parts = [
        f"{recipe.name} ({recipe.tutorial}, {recipe.kind}): {recipe.title}",
        f"  {recipe.command()}",
        _listed("needs", [recipe.fetch]),
        _settings(recipe.settings),
        _listed("differs from the tutorial", recipe.repaired),
        *[_listed(f"measured on {one.data}", _findings(one)) for one in recipe.measured],
        _ablation(recipe.ablation),
    ]
    return "\n".join(part for part in parts if part)


def _accuracy(recipe: Recipe) -> str:
    if not recipe.measured:
        return "not in full"
    first = recipe.measured[0]
    shown = [(name, spread) for name, spread in (("val", first.val), ("test", first.test)) if spread]
    return ", ".join(f"{name} {spread.mean:.1%}" for name, spread in shown)


def _data(recipe: Recipe) -> str:
    return f"{recipe.measured[0].data}{_mark(recipe)}" if recipe.measured else ""


def _mark(recipe: Recipe) -> str:
    return "*" if recipe.measured and recipe.measured[0].flags else ""


def _ablation(ablation: Ablation | None) -> str:
    if ablation is None:
        return ""
    given = f", with {ablation.flags}" if ablation.flags else ""
    title = f"{ACCURACY[ablation.score]} accuracy on {ablation.data}{given}, without"
    note = [ablation.note] if ablation.note else []
    return _listed(title, [*note, *(f"{part.without}: {part.accuracy}" for part in ablation.parts)])


def _seconds(recipe: Recipe) -> str:
    return f"{recipe.measured[0].seconds:,.0f} s" if recipe.measured else ""


def _findings(one: Measured) -> list[str]:
    accuracies = [f"{ACCURACY[name]} {spread}" for name, spread in (("val", one.val), ("test", one.test)) if spread]
    found = [*accuracies, f"{one.seconds:,.0f} s, {one.hardware}"]
    return [*found, *([f"with {one.flags}"] if one.flags else []), *([one.note] if one.note else [])]


def _settings(settings: Mapping[str, Any]) -> str:
    flags = [f"--{name.replace('_', '-')}" + _value(value) for name, value in settings.items()]
    whole = " ".join(flag.replace(" ", _STICKS) for flag in flags)
    lines = textwrap.wrap(whole, WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(["  settings", *(line.replace(_STICKS, " ") for line in lines)])


def _value(value: Any) -> str:
    if value is True:
        return ""
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return f' "{text}"' if " " in text else f" {text}"


def _listed(title: str, items: Sequence[str]) -> str:
    lines = [textwrap.fill(item, WIDTH, initial_indent="    - ", subsequent_indent="      ") for item in items]
    return "\n".join([f"  {title}", *lines]) if items else ""
