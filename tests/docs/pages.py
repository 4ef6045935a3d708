"""Pages of the documentation: their blocks, commands, tables and figures; commands on small pictures."""

import re
import shlex
from pathlib import Path

from frostline.plan.grammar import parse_stages
from frostline.recipes.catalog import load_recipe

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SMALL = shlex.split("--image-size 32 --batch-size 8 --workers 0 --device cpu --precision fp32 --feature-cache ram")
NAMED = {"cifar10": "./cifar10", "fashion-mnist": "./fashion-mnist"}
"""Named sets, and the folders of drawn pictures that stand in for them."""
OF_A_KIND = {"timm:convnext_tiny": "timm:convnext_atto"}
"""Large networks, and small ones with parts of the same names."""
OWN = re.compile(r"(vgg|resnet(18|34)$|smallnet$)")
"""Networks that `--width` makes narrower."""


def blocks(page, language):
    """The texts of a page's blocks of one language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def lines_of_bash(page):
    """What a reader types into a shell."""
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
    return [line for line in lines if line.strip() and not line.startswith("#")]


def commands(page):
    """The frostline commands of a page, each as its words; what stands behind # is left out."""
    lines = [line for line in lines_of_bash(page) if line.startswith("frostline ")]
    return [tuple(shlex.split(line, comments=True)) for line in lines]


def chinese(page):
    """The page in Chinese."""
    return page.with_name(f"{page.stem}.zh.md")


def figures(page):
    """What the benchmarks put into a page, by the name that stands before it."""
    text = page.read_text(encoding="utf-8")
    return {key: value.strip() for key, value in re.findall(r"<!-- ([\w.-]+) -->(.*?)<!-- / -->", text, re.DOTALL)}


def table_rows(page):
    """The rows of a page's tables."""
    return [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]


def numbers(text):
    """The numbers of a text, smallest first as text: languages put them in other orders."""
    return sorted(re.findall(r"\d+(?:[.,]\d+)*", text))


def links(page):
    """Where a page's links and pictures lead, those to other hosts left out."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def option(words, name):
    """The value of a command's flag."""
    return words[words.index(name) + 1] if name in words else None


def without_out(words):
    """A command without the place of what it writes; one that goes on with a run needs it."""
    if "--out" not in words or "--resume" in words:
        return words
    place = words.index("--out")
    return words[:place] + words[place + 2 :]


def once(found):
    """Without what came before."""
    return list(dict.fromkeys(found))


def smaller(words):
    """A command as arguments, training on drawn pictures with small settings, one epoch a stage."""
    words = [NAMED.get(word, word) for word in words[1:]]
    words = [OF_A_KIND.get(word, word) for word in words]
    if words[0] not in {"train", "plan"}:
        return words
    name = option(words, "--recipe")
    if name is None and "--resume" in words:
        return words  # the settings of the run that it goes on with
    settings = load_recipe(name).settings if name else {}
    if "--folds" in words:
        words[words.index("--folds") + 1] = "2"
    if "--budget" in words:
        words[words.index("--budget") + 1] = "2s"
        return [*words, *SMALL]
    model = option(words, "--model") or settings.get("model")
    stages = option(words, "--stages") or settings.get("stages") or ("all:1" if "--config" in words else "head:1")
    added = ["--stages", ", ".join(map(_short, parse_stages(stages)))]
    if model is not None:
        added += ["--weights", "none"]
        added += ["--width", "0.125"] if OWN.match(model) else []
    elif name is not None or "none" in words:
        added += ["--weights", "none"]
    added += ["--resize", "36"] if isinstance(settings.get("resize"), int) else []
    return [*words, *SMALL, *added]


def smaller_code(text):
    """Code with a narrower network of ours."""
    return text.replace('model="resnet18"', 'model="resnet18", width=0.125')


def _short(stage):
    size = "/40" if stage.size else ""
    return f"{stage.part}:1@1e-3{size}"
