"""Put what was measured into the recipes themselves; can be run again.

python benchmarks/fill_recipes.py
"""

import json
from pathlib import Path
from typing import Any

import yaml

import measure
from tutorial_recipes import beside, processor, read_results

RECIPES = Path(__file__).parent.parent / "src" / "frostline" / "recipes"


def main() -> None:
    """Fill all recipes that have results."""
    for path in sorted(RECIPES.glob("*.yaml")):
        path.write_text(filled(path), encoding="utf-8")


def filled(path: Path) -> str:
    """A recipe's YAML with what was measured."""
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = [result for result in read_results().values() if result["what"] == path.stem]
    recipe["measured"] = [_measured(result) for result in found if result["val"]]
    ablation = measure.RESULTS / "ablation" / path.name.replace(".yaml", ".json")
    if ablation.is_file():
        recipe["ablation"] = _ablation(json.loads(ablation.read_text(encoding="utf-8")))
    return yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, width=116)


def _measured(result: dict[str, Any]) -> dict[str, Any]:
    note = "; ".join(text for text in (result["note"], beside(result)) if text)
    given = {"data": result["data"], "flags": result["flags"], "note": note}
    spreads = {name: _spread(result[name], result["n"]) for name in ("val", "test") if result[name]}
    facts = {**given, **spreads, "seconds": round(result["seconds"]), "hardware": processor(result)}
    return {name: value for name, value in facts.items() if value}


def _ablation(result: dict[str, Any]) -> dict[str, Any]:
    whole, *rows = result["rows"]
    named = [("nothing", whole), *((row["without"], row) for row in rows)]
    parts = [{"without": name, "accuracy": _spread(row[result["score"]], result["n"])} for name, row in named]
    note = {"note": result["note"]} if result["note"] else {}
    return {**{name: result[name] for name in ("data", "flags", "score")}, **note, "parts": parts}


def _spread(values: dict[str, float], n: int) -> dict[str, float]:
    return {**{name: round(value, 5) for name, value in values.items()}, "n": n}


if __name__ == "__main__":
    main()
