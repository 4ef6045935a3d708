"""Pictures whose class a person corrected: saved as class folders that `frostline train` takes."""

from pathlib import Path

from frostline.data.decode import format_of
from frostline.errors import DecodeError
from frostline.files import atomic_write, digest_bytes, make_private
from frostline.predictor import Predictor
from frostline.serve.refusals import Refusal, status_of

MOST = 10_000
"""Pictures in the folder; who can reach the server must not be able to fill the disk."""


class Corrections:
    """A folder of class folders; a picture is named after the digest of its bytes, whatever its sender calls it.

    Args:
        folder: made where there is none.
        predictor: knows the classes, and which pictures can be read.
        max_pixels: of a picture that is taken.

    Raises:
        ConfigError: the folder cannot be written.
    """

    def __init__(self, folder: Path, predictor: Predictor, max_pixels: int) -> None:
        self._folder, self._predictor, self._max_pixels = folder, predictor, max_pixels
        make_private(folder)
        self._count = sum(1 for _ in folder.glob("*/*"))

    def keep(self, content: bytes, name: str) -> str:
        """Save a picture under its class, and nowhere else; give the digest that names it.

        Raises:
            Refusal: 413, 415 or 422 for what is no sound picture, 422 for an unknown class, 507 where there is no room.
        """
        if name not in self._predictor.classes:
            raise Refusal(422, f"the class is unknown; allowed are {', '.join(self._predictor.classes[:20])}")
        try:
            self._predictor.frame(content, max_pixels=self._max_pixels)
        except DecodeError as error:
            raise Refusal(status_of(error), str(error)) from None
        digest = digest_bytes(content)
        file = self._folder / name / f"{digest}.{format_of(content).lower()}"
        others = [other / file.name for other in map(self._folder.joinpath, self._predictor.classes)]
        self._write(file, content, is_new=not any(other.exists() for other in others))
        for other in others:
            if other != file:
                other.unlink(missing_ok=True)
        return digest

    def _write(self, file: Path, content: bytes, *, is_new: bool) -> None:
        if is_new and self._count >= MOST:
            raise Refusal(507, f"the folder of corrections holds {MOST:,} pictures; train with them, then empty it")
        try:
            file.parent.mkdir(exist_ok=True)
            atomic_write(file, lambda temporary: _fill(temporary, content))
        except OSError:
            raise Refusal(507, "the correction cannot be written; there may be no room on the disk") from None
        self._count += is_new


def _fill(file: Path, content: bytes) -> None:
    file.write_bytes(content)
