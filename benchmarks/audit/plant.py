"""Plant faults in a copy of a folder of pictures; the original is only read."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

SUFFIXES = {".jpg", ".jpeg", ".png"}
SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def copy_split(data: Path, target: Path, seed: int) -> None:
    """Copy DATA; where it has no split, deal each class into train, val and test."""
    if (data / "train").is_dir():
        shutil.copytree(data, target)
        return
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
        random.Random(f"{seed}/{folder.name}").shuffle(files)
        start = 0.0
        for split, share in SHARES.items():
            end = start + share
            for path in files[round(start * len(files)) : round(end * len(files))]:
                (target / split / folder.name).mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target / split / folder.name / path.name)
            start = end


def pictures_of(folder: Path) -> list[Path]:
    """All pictures below a folder."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def resized(picture: Image.Image, _: random.Random) -> Image.Image:
    """At 70% of its size."""
    return picture.resize((round(0.7 * picture.width), round(0.7 * picture.height)), Image.Resampling.BICUBIC)


def cropped(picture: Image.Image, draw: random.Random) -> Image.Image:
    """Without a tenth of its width and of its height, somewhere."""
    width, height = round(0.9 * picture.width), round(0.9 * picture.height)
    left, top = draw.randint(0, picture.width - width), draw.randint(0, picture.height - height)
    return picture.crop((left, top, left + width, top + height))


def mirrored(picture: Image.Image, _: random.Random) -> Image.Image:
    """Left for right."""
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def brighter(picture: Image.Image, draw: random.Random) -> Image.Image:
    """Brighter or darker by 30%."""
    return ImageEnhance.Brightness(picture).enhance(draw.choice([0.7, 1.3]))


def same(picture: Image.Image, _: random.Random) -> Image.Image:
    """As it is: what is done to it is in how it is saved."""
    return picture


KINDS: dict[str, tuple[Callable[[Image.Image, random.Random], Image.Image], str, dict[str, int]]] = {
    "resized": (resized, ".jpg", {"quality": 90}),
    "recompressed": (same, ".jpg", {"quality": 30}),
    "cropped": (cropped, ".jpg", {"quality": 90}),
    "mirrored": (mirrored, ".jpg", {"quality": 90}),
    "brightness": (brighter, ".jpg", {"quality": 90}),
    "re-encoded": (same, ".webp", {"quality": 80}),
}


def plant_near_duplicates(data: Path, count: int, seed: int) -> list[tuple[str, str, str]]:
    """Put altered copies of training pictures into other splits; give (original, copy, kind), relative to DATA."""
    draw, planted = random.Random(seed), []
    others = [name for name in ("val", "test") if (data / name).is_dir()]
    for number, path in enumerate(draw.sample(pictures_of(data / "train"), count)):
        kind = list(KINDS)[number % len(KINDS)]
        alter, suffix, options = KINDS[kind]
        with Image.open(path) as opened:
            made = alter(opened.convert("RGB"), draw)
        target = data / draw.choice(others) / path.parent.name / f"planted-{number}{suffix}"
        made.save(target, **options)
        planted.append((str(path.relative_to(data)), str(target.relative_to(data)), kind))
    return planted


def plant_wrong_labels(data: Path, share: float, seed: int) -> dict[str, str]:
    """Move some training pictures to another class; give their true classes by new path, relative to DATA."""
    draw = random.Random(seed)
    classes = sorted(path.name for path in (data / "train").iterdir() if path.is_dir())
    files, moved = pictures_of(data / "train"), {}
    for path in draw.sample(files, round(share * len(files))):
        true = path.parent.name
        target = data / "train" / draw.choice([name for name in classes if name != true]) / f"moved-{path.name}"
        path.rename(target)
        moved[str(target.relative_to(data))] = true
    return moved


def plant_blanks(data: Path, seed: int) -> list[str]:
    """Put pictures that show nothing, and stand-ins, among the training pictures; give their paths."""
    draw, made = np.random.default_rng(seed), []
    classes = sorted(path for path in (data / "train").iterdir() if path.is_dir())
    for number, level in enumerate((0, 255, 128, 30, 220)):
        noise = draw.normal(0, 1.0 if number % 2 else 0.0, (120, 160, 3))
        path = classes[number % len(classes)] / f"blank-{number}.png"
        Image.fromarray(np.clip(level + noise, 0, 255).astype(np.uint8)).save(path)
        made.append(path)
    stand_in = Image.fromarray((np.indices((90, 90)).sum(axis=0) // 10 % 2 * 255).astype(np.uint8))
    for number in range(6):
        path = classes[number % len(classes)] / f"unavailable-{number}.png"
        stand_in.save(path)
        made.append(path)
    return [str(path.relative_to(data)) for path in made]
