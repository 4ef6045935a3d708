"""Who may import whom: down the list of DESIGN.md and never up; and what starting the program may load."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import frostline

ROOT = Path(frostline.__file__).parent
ORDER = (
    ("errors",),
    ("version",),
    ("units",),
    ("defaults",),
    ("importing",),
    ("config",),
    ("columns",),
    ("recipes",),
    ("randomness",),
    ("progress",),
    ("stopwatch",),
    ("files",),
    ("limits",),
    ("sealed",),
    ("hardware",),
    ("data",),
    ("network",),
    ("plan",),
    ("activations",),
    ("training",),
    ("evaluation",),
    ("bundle",),
    ("modelcard",),
    ("predictor",),
    ("report", "export", "serve"),  # siblings: none imports another
    ("assess",),
    ("exporting",),
    ("answers",),
    ("sorting",),
    ("heat",),
    ("budget",),
    ("inspection",),
    ("prepare",),
    ("outcome",),
    ("review",),
    ("repeats",),
    ("resuming",),
    ("pipeline",),
    ("quickstart",),
    ("tables",),
    ("console",),
    ("api",),
    ("__init__",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
RANK = {unit: rank for rank, units in enumerate(ORDER) for unit in units}
HEAVY = ("torch", "torchvision", "timm", "sklearn", "matplotlib", "lightning_fabric", "pyarrow", "scipy", "pandas")


def module_files() -> dict[str, Path]:
    """Every module of the package by its dotted name below `frostline`."""
    files = {}
    for file in ROOT.rglob("*.py"):
        parts = file.relative_to(ROOT).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = file
    return files


def imports_of(name: str, file: Path, known: dict[str, Path]) -> Iterator[str]:
    """Modules of frostline that a file imports, inside functions and type checks too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} uses a relative import"
            whole = node.module or ""
            places = [f"{whole}.{alias.name}" for alias in node.names]
            places = [place if place.removeprefix("frostline.") in known else whole for place in places]
        elif isinstance(node, ast.Import):
            places = [alias.name for alias in node.names]
        else:
            continue
        for place in places:
            if place == "frostline":
                yield "__init__"
            elif place.startswith("frostline."):
                yield place.removeprefix("frostline.")


MODULES = module_files()
IMPORTS = {name: sorted(set(imports_of(name, file, MODULES))) for name, file in MODULES.items()}


def unit_of(module: str) -> str:
    return module.partition(".")[0]


def test_the_parser_sees_the_imports():
    assert "errors" in IMPORTS["config"]
    assert "activations.housekeeping" in IMPORTS["commands.cache"]  # inside a function
    assert "plan.price" in IMPORTS["api"]  # for types only
    assert "network.heads" in IMPORTS["network.build"]  # from a package


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_from_above_it(name):
    unit = unit_of(name)
    assert unit in RANK, f"{unit} has no place in the order yet: give it one, here and in DESIGN.md"
    wrong = [other for other in IMPORTS[name] if unit_of(other) != unit and RANK[unit_of(other)] >= RANK[unit]]
    assert not wrong, f"{name} imports {wrong}, which stand beside or below it"


def test_there_is_no_cycle_inside_a_package():
    graph = {name: {other for other in imports if other != name} for name, imports in IMPORTS.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize(
    "statement",
    [
        "import frostline",
        "import frostline.cli",
        "from frostline import cli; import sys; sys.argv = ['frostline', '--help']; cli.main()",
        "from frostline import cli; import sys; sys.argv = ['frostline', 'train', '--help']; cli.main()",
        "from frostline import cli; import sys; sys.argv = ['frostline', '--version']; cli.main()",
    ],
)
def test_starting_loads_nothing_heavy(statement):
    code = f"import atexit, sys\natexit.register(lambda: print('LOADED', *sys.modules))\n{statement}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert "frostline.config" in loaded
    assert not loaded.intersection(HEAVY)


def test_what_libraries_keep_for_good_is_not_looked_through_for_garbage():
    code = (
        "import gc, sys\n"
        "looks = []\n"
        "gc.callbacks.append(lambda phase, told: looks.append(told['generation']) if phase == 'stop' else None)\n"
        "from frostline import cli\n"
        "sys.argv = ['frostline', 'summary', 'resnet18']\n"
        "cli.main()\n"
        "print('LOOKS', looks.count(2), len(gc.get_objects()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    looks, objects = map(int, done.stdout.rpartition("LOOKS")[2].split())
    assert objects > 100_000  # the libraries are there
    assert looks == 0


def test_public_names():
    assert sorted(frostline.__all__) == [
        "FrostlineError",
        "Run",
        "__version__",
        "card",
        "compare",
        "evaluate",
        "export_model",
        "import_weights",
        "inspect",
        "load",
        "open_run",
        "plan",
        "train",
        "write_report",
    ]
    assert all(hasattr(frostline, name) for name in frostline.__all__)
    assert issubclass(frostline.FrostlineError, Exception)
    assert (ROOT / "py.typed").is_file()
