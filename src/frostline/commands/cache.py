"""The store of activations: list, check, shrink."""

from pathlib import Path
from typing import Annotated

import typer

from frostline.commands.flags import show


def ls(cache_dir: Annotated[Path | None, typer.Option(help="Home of the store.")] = None) -> None:
    """List the stores of activations, most recently used first."""
    from frostline.activations.housekeeping import list_stores
    from frostline.files import default_cache_dir
    from frostline.tables import stores_table

    show(stores_table(list_stores(cache_dir or default_cache_dir())))


def verify(cache_dir: Annotated[Path | None, typer.Option(help="Home of the store.")] = None) -> None:
    """Check every stored activation against its digest; remove what is damaged or foreign."""
    from frostline.activations.housekeeping import verify_stores
    from frostline.files import default_cache_dir

    damaged = verify_stores(cache_dir or default_cache_dir())
    for path in damaged:
        show(f"removed {path}: damaged or foreign; its rows are computed again when needed")
    if not damaged:
        show("every shard is intact")


def prune(
    limit: Annotated[str, typer.Option(help="Size to shrink to, e.g. 5GB; 0B removes all.")] = "20GB",
    cache_dir: Annotated[Path | None, typer.Option(help="Home of the store.")] = None,
) -> None:
    """Remove the least recently used stores above a size."""
    from frostline.activations.housekeeping import prune_stores
    from frostline.files import default_cache_dir
    from frostline.units import parse_bytes

    removed = prune_stores(cache_dir or default_cache_dir(), parse_bytes(limit))
    show(f"removed {len(removed)} stores, {sum(store.bytes for store in removed) / 1e6:.0f} MB")
