"""Made-up pictures as the bytes of files."""

import io

import numpy as np
from PIL import Image


def encoded(seed=0, size=(50, 40), kind="PNG"):
    """One picture, noise, as the bytes of a file."""
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()
