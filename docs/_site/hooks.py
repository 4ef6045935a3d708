"""What the site has beside its pages' own text: flags read from the command line, drawings, files that pages link to.

Pages stay readable where the repository is browsed; a comment such as `<!-- flags train -->` is where a table goes.
"""

import json
import posixpath
import re
from pathlib import Path

import typer
import yaml
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

from frostline.cli import app

ROOT = Path(__file__).parents[2]
DOCS = "docs"
PAGES_OUTSIDE = {"SECURITY.md": "security.md", "CHANGELOG.md": "changelog.md"}
"""Files of the repository that pages of the site show whole."""
LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")
LANGUAGE_LINK = re.compile(r"^\[(?:中文|English)\]\([^)]*\)(?: · )?", re.MULTILINE)
MARK = re.compile(r"^<!-- (flags|further commands|notebook|table of|whole) ?(\S*) -->$", re.MULTILINE)
DRAWING = re.compile(r"^!\[([^\]]*)\]\((\S+\.svg)\)$", re.MULTILINE)
WORDS = {
    "en": {"flag": "flag", "default": "default", "meaning": "meaning", "none": "It has no flags."},
    "zh": {"flag": "参数", "default": "默认值", "meaning": "含义", "none": "没有参数。"},
}
CHINESE = yaml.safe_load((Path(__file__).parent / "flags.zh.yaml").read_text(encoding="utf-8"))


@event_priority(-200)
def on_files(files, *, config):
    """Add the files of the repository that pages link to, after the languages were told apart: once for all."""
    pages = [*(ROOT / DOCS).rglob("*.md"), *(ROOT / page for page in PAGES_OUTSIDE)]
    wanted = {target for page in pages for target in _linked(page)}
    for path in sorted(wanted):
        files.append(File.generated(config, _in_site(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown, *, page, config, files):
    """Fill in what is generated, and turn links into those of the site."""
    path = f"{DOCS}/{page.file.src_uri}"
    if path.startswith(f"{DOCS}/adr/"):
        page.meta["search"] = {"boost": 0.3}  # below the pages that tell how to use it
    language = config.theme["language"]
    text = LANGUAGE_LINK.sub("", markdown)
    text = DRAWING.sub(lambda match: _drawing(posixpath.join(posixpath.dirname(path), match[2]), match[1]), text)
    text = MARK.sub(lambda match: _generated(match[1], match[2], text, language), text)
    return LINK.sub(lambda match: _link(match, path), _unlink_folders(text, path))


def _in_site(path):
    """The address in the site of a file of the repository; code is shown as text."""
    if path in PAGES_OUTSIDE:
        return PAGES_OUTSIDE[path]
    if path in {"README.md", "README.zh.md"}:
        return "index.md"
    if path.startswith(f"{DOCS}/"):
        return path.removeprefix(f"{DOCS}/").replace(".zh.md", ".md")
    return f"source/{path}" + ("" if path.endswith(".json") else ".txt")


def _target(link, path):
    """What a link in a file of the repository leads to, from the repository's root; None where it leaves it."""
    if re.match(r"[a-z]+:|/", link):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))


def _linked(page):
    """Files outside docs/ that a page links to."""
    path = page.relative_to(ROOT).as_posix()
    targets = {_target(match[1], path) for match in LINK.finditer(page.read_text(encoding="utf-8"))}
    inside = {target for target in targets if target and not target.startswith(f"{DOCS}/")}
    return {target for target in inside - {*PAGES_OUTSIDE, "README.md", "README.zh.md"} if (ROOT / target).is_file()}


def _link(match, path):
    target = _target(match[1], path)
    if target is None:
        return match[0]
    here = posixpath.dirname(_in_site(path))
    return f"]({posixpath.relpath(_in_site(target), here or '.')}{match[2] or ''})"


def _unlink_folders(text, path):
    """Keep only the words of links to folders: the site has no page for these."""

    def words(match):
        target = _target(match[2], path)
        return match[1] if target is not None and (ROOT / target).is_dir() else match[0]

    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s#]+)\)", words, text)


def _drawing(path, words):
    """An SVG in the page itself, so that it takes the colours of the page."""
    svg = (ROOT / path).read_text(encoding="utf-8")
    named = svg.replace("<svg ", f'<svg class="drawing" role="img" aria-label="{words}" ', 1)
    return f"<figure>\n{named.strip()}\n</figure>"


def _generated(kind, name, page, language):
    match kind:
        case "flags":
            return flags_table(commands()[name.replace("_", " ")], name, language)
        case "whole":
            return LINK.sub(lambda match: _link(match, name), (ROOT / name).read_text(encoding="utf-8"))
        case "further commands":
            told = set(re.findall(r"^## (.+)$", page, re.MULTILINE))
            left = [name for name in commands() if name not in told]
            return "\n\n".join(further(name, language) for name in left)
        case "notebook":
            return notebook(ROOT / DOCS / name)
        case _:
            text = (ROOT / DOCS / name).read_text(encoding="utf-8")
            return "\n".join(line for line in text.splitlines() if line.startswith("|"))


def commands():
    """Every command of the command line by its words, groups taken apart."""
    found = {}

    def walk(command, words):
        for name, inner in getattr(command, "commands", {}).items():
            if hasattr(inner, "commands"):
                walk(inner, [*words, name])
            else:
                found[" ".join([*words, name])] = inner

    walk(typer.main.get_command(app), [])
    return found


def further(name, language):
    """A section on a command that the page does not tell of."""
    command = commands()[name]
    return f"## {name}\n\n{command.help}\n\n{flags_table(command, name.replace(' ', '_'), language)}"


def flags_table(command, name, language):
    """The arguments and flags of a command, as it declares them."""
    words = WORDS[language]
    rows = [_row(param, name, language) for param in command.params if param.name != "help"]
    if not rows:
        return words["none"]
    head = f"| {words['flag']} | {words['default']} | {words['meaning']} |\n| --- | --- | --- |\n"
    return head + "\n".join(rows)


def _row(param, name, language):
    flags = [*param.opts, *param.secondary_opts] if param.param_type_name == "option" else [param.name.upper()]
    meaning, _, default = (param.help or "").partition(" [default: ")
    default = default.rstrip("]") or _default(param)
    allowed = getattr(param, "metavar", None)
    shown = " / ".join(f"`{flag}`" for flag in flags)
    if allowed and "|" in allowed:
        shown += " " + " ".join(f"`{choice}`" for choice in allowed.split("|"))
    meaning = meaning if language == "en" else CHINESE.get(f"{name}.{param.name}") or CHINESE.get(param.name) or meaning
    return f"| {shown} | {f'`{default}`' if default else ''} | {_plain(meaning)} |"


def _plain(text):
    """Text in which nothing is taken for a link or a mark."""
    return re.sub(r"[\[\]|*_<>`]", lambda match: f"&#{ord(match[0])};", text)


def _default(param):
    value = param.default
    return "" if value is None or value is False or param.required else str(value)


def notebook(path):
    """A notebook's cells as a page shows them."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    return "\n\n".join(f"```python\n{text}\n```" if kind == "code" else text for kind, text in texts)
