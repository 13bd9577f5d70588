"""`add4rsc list` and `add4rsc cite`."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from add4rsc.cli._app import app
from add4rsc.cli._output import print_json, print_table


class Kind(StrEnum):
    """What can be listed."""

    METHODS = "methods"
    RECIPES = "recipes"
    BACKBONES = "backbones"
    DATASETS = "datasets"
    SPLITS = "splits"


@app.command(name="list")
def list_names(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List what recipes can be made of."""
    rows: list[dict[str, Any]] = LISTS[kind]()
    if as_json:
        print_json({kind.value: rows})
        return
    columns = list(rows[0])
    print_table(kind.value, columns, [[_text(row[column]) for column in columns] for row in rows])


def _text(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else "-" if value is None else str(value)


def _first_line(thing: Any) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]


def _methods() -> list[dict[str, Any]]:
    from add4rsc.methods import methods

    found = [(name, methods.get(name)) for name in methods.names()]
    return [{"name": name, "what": _first_line(method), "paper": method.paper.key} for name, method in found]


def _recipes() -> list[dict[str, Any]]:
    from add4rsc.methods import recipes

    rows = []
    for name in recipes.names():
        recipe = recipes.get(name)()
        rows.append(
            {
                "name": name,
                "what": _first_line(recipes.get(name)),
                "weights": recipe.weights,
                "reported": None if recipe.reported is None else recipe.reported.score,
                "deviations": list(recipe.deviations),
            }
        )
    return rows


def _backbones() -> list[dict[str, Any]]:
    from add4rsc.backbones import backbones

    rows = []
    for name in backbones.names():
        front_end = backbones.get(name).front_end()
        what = _first_line(backbones.get(name))
        rows.append({"name": name, "what": what, "sample_rate": front_end.sample_rate, "n_mels": front_end.n_mels})
    return rows


def _datasets() -> list[dict[str, Any]]:
    from add4rsc.datasets import datasets

    rows = []
    for name in datasets.names():
        dataset = datasets.get(name)
        recordings, patients, cycles = dataset.n_published
        rows.append(
            {
                "name": name,
                "recordings": recordings,
                "patients": patients,
                "cycles": cycles,
                "tasks": list(dataset.tasks),
                "terms": dataset.source.terms,
            }
        )
    return rows


def _splits() -> list[dict[str, Any]]:
    from add4rsc.datasets import datasets
    from add4rsc.protocol.split import FOLDS_HELP

    published = [
        {"name": split, "what": f"published division of {name}"}
        for name in datasets.names()
        for split in datasets.get(name).split_names
    ]
    return [*published, {"name": "patient-folds-N", "what": FOLDS_HELP}]


LISTS: dict[Kind, Callable[[], list[dict[str, Any]]]] = {
    Kind.METHODS: _methods,
    Kind.RECIPES: _recipes,
    Kind.BACKBONES: _backbones,
    Kind.DATASETS: _datasets,
    Kind.SPLITS: _splits,
}


@app.command()
def cite(recipe: Annotated[str, typer.Argument(help="Name of a recipe.")]) -> None:
    """Print BibTeX of the publication behind a recipe."""
    from add4rsc.methods import methods, recipes

    typer.echo(methods.get(recipes.get(recipe)().method).paper.bibtex())
