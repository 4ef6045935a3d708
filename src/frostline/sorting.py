"""Pictures sorted into a folder per class, as links or copies; the originals stay as they are."""

import os
import shutil
from pathlib import Path

from frostline.data.targets import SCHEMES
from frostline.errors import UsageError
from frostline.predictor import Prediction

UNSURE = "unsure"


class Sorter:
    """Puts pictures into the folders of their classes.

    Args:
        root: of the class folders; made where it is not there.
        classes: of the model.
        as_copies: copy the files; else make symbolic links to them.

    Raises:
        UsageError: `root` cannot be made, or a class is called as the folder of the unsure ones is.
    """

    def __init__(self, root: Path, classes: tuple[str, ...], *, as_copies: bool) -> None:
        if UNSURE in classes:
            raise UsageError(
                f"--sort-into keeps {UNSURE}/ for unsure answers, and a class is called so; rename the class"
            )
        self._root, self._as_copies = root, as_copies
        for name in (*classes, UNSURE):
            self._prepare(root / name)

    def put(self, prediction: Prediction) -> bool:
        """Put a picture into the folder of its first class, or of the unsure ones.

        Returns:
            Whether it was put there: what is damaged, or lies on a server, is not. A picture that is there already
            (the same link, or an equal copy) is left.

        Raises:
            UsageError: it cannot be written there.
        """
        if prediction.error or prediction.path.startswith(SCHEMES):
            return False
        original = Path(prediction.path).resolve()
        folder = self._root / (UNSURE if prediction.unsure else prediction.top[0][0])
        try:
            self._place(original, folder)
        except OSError as error:
            raise UsageError(
                f"cannot write to {folder}: {error.strerror or error}; try --copies, or another folder"
            ) from None
        return True

    def _place(self, original: Path, folder: Path) -> None:
        number = 1
        target = folder / original.name
        while os.path.lexists(target):
            if self._is_there(original, target):
                return
            number += 1
            target = folder / f"{original.stem}-{number}{original.suffix}"
        if self._as_copies:
            shutil.copy2(original, target)
        else:
            target.symlink_to(original)

    def _is_there(self, original: Path, target: Path) -> bool:
        if target.is_symlink():
            return target.resolve() == original
        return self._as_copies and target.read_bytes() == original.read_bytes()

    def _prepare(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make {folder}: {error.strerror or error}; give another folder") from None
