"""What there is: recipes, networks; weights taken over from elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from frostline.columns import printable
from frostline.commands.flags import show


def import_weights(
    file: Annotated[Path, typer.Argument(help="Pickle of weights: .pth or .pt.")],
    out: Annotated[Path | None, typer.Option(help="New file [default: FILE with the ending .safetensors].")] = None,
) -> None:
    """Take the tensors of a pickle over into a safetensors file for --weights; no code in it is run."""
    from frostline import api

    done = api.import_weights(file, out)
    show(f"wrote {done.path}: {done.tensors} tensors, {done.bytes / 1e6:.1f} MB")
    if done.left_out:
        from frostline.data.pictures import first_few

        show(f"left out, for they are no tensors of the state dict: {printable(first_few(done.left_out))}")


def recipes(name: Annotated[str | None, typer.Argument(help="One recipe, to see it whole.")] = None) -> None:
    """List the recipes that ship with frostline, or show one."""
    from frostline.recipes.catalog import load_recipe, recipe_names
    from frostline.recipes.show import recipe_table, recipe_text

    show(recipe_text(load_recipe(name)) if name else recipe_table([load_recipe(n) for n in recipe_names()]))


def summary(
    model: Annotated[str, typer.Argument(help="Network, as for --model.")],
    input: Annotated[str | None, typer.Option(help="Channels x height x width, e.g. 3x224x224.")] = None,
    classes: Annotated[int, typer.Option(min=2, help="Number of classes.")] = 1000,
    head: Annotated[str, typer.Option(help="Head, as for training.")] = "official",
) -> None:
    """Show a network's layers and the places where it can be cut."""
    from frostline.tables import summary_table

    show(summary_table(model, input, classes, head))
