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
    CORRUPTIONS = "corruptions"
    PUBLISHED = "published"


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
    if kind in LINES:
        typer.echo("\n".join(map(LINES[kind], rows)))
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
    return [
        {"name": name, "what": _first_line(method), "paper": method.paper.key} | _faithfulness(name)
        for name, method in found
    ]


GUESSED = ("not found", "not published", "not known", "not say", "not said", "approximate", "is not in it")
"""Words of a deviation by which we filled in what a publication leaves open."""


def _faithfulness(method: str) -> dict[str, Any]:
    """The recipe that stands for a method's publication, in how many places it departs, and whether any was guessed."""
    from add4rsc.methods import recipes

    own = [recipes.get(name)() for name in recipes.names() if name.split("/")[0] == method]
    published = [recipe for recipe in own if recipe.reported is not None and not recipe.name.endswith("-small")]
    recipe = (published or own)[0]
    is_guessed = any(word in deviation for deviation in recipe.deviations for word in GUESSED)
    return {
        "recipe": recipe.name,
        "deviations": len(recipe.deviations),
        "approximate": "yes" if is_guessed else "no",
    }


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
    from add4rsc.protocol.sizes import published_sizes
    from add4rsc.protocol.split import FOLDS_HELP, fold_names

    sizes = published_sizes()
    rows = []
    for corpus in (datasets.get(name) for name in datasets.names()):
        for split in (*corpus.split_names, *corpus.split_folds):
            size = sizes.get(split)
            rows.append(
                {
                    "name": split,
                    "what": corpus.split_help.get(split, f"published division of {corpus.name}"),
                    "test_normal": size and size.n_normal,
                    "test_abnormal": size and size.n_abnormal,
                    "folds": [name for name in fold_names(split) if name != split],
                }
            )
    every = {"name": "patient-folds-N", "what": FOLDS_HELP, "test_normal": None, "test_abnormal": None, "folds": []}
    return [*rows, every]


def _corruptions() -> list[dict[str, Any]]:
    from add4rsc.robustness.corruptions import corruptions

    found = [(name, corruptions.get(name)) for name in corruptions.names()]
    return [
        {"name": name, "what": _first_line(kind), "unit": kind.unit, "levels": list(kind.levels)}
        for name, kind in found
    ]


def _published() -> list[dict[str, Any]]:
    from add4rsc.metrics.published import published_results

    return [result.to_dict() for result in published_results()]


def _split_line(row: dict[str, Any]) -> str:
    counts = f"; test {row['test_normal']} normal, {row['test_abnormal']} abnormal" if row["test_normal"] else ""
    folds = f"; one alone: {', '.join(row['folds'])}" if row["folds"] else ""
    return f"{row['name']}\n    {row['what']}{counts}{folds}"


def _published_line(row: dict[str, Any]) -> str:
    shares = "/".join(row[f"{name}_percent"] or "-" for name in ("specificity", "sensitivity", "score"))
    sd = f" +- {row['score_sd_percent']}" if row["score_sd_percent"] else ""
    where = row["split"] or f"{row['dataset']}, {row['test']}"
    remark = f"; {row['remark']}" if row["remark"] else ""
    return (
        f"{row['system']} {row['year']}".rstrip() + f": Sp/Se/Score {shares}{sd} ({row['metric']})\n"
        f"    {where}, {row['task']}; selection {row['selection']}; seeds {row['seeds']}; {row['source']}{remark}"
    )


LINES: dict[Kind, Callable[[dict[str, Any]], str]] = {Kind.SPLITS: _split_line, Kind.PUBLISHED: _published_line}
"""What is too long for a table."""

LISTS: dict[Kind, Callable[[], list[dict[str, Any]]]] = {
    Kind.METHODS: _methods,
    Kind.RECIPES: _recipes,
    Kind.BACKBONES: _backbones,
    Kind.DATASETS: _datasets,
    Kind.SPLITS: _splits,
    Kind.CORRUPTIONS: _corruptions,
    Kind.PUBLISHED: _published,
}


@app.command()
def cite(recipe: Annotated[str, typer.Argument(help="Name of a recipe.")]) -> None:
    """Print BibTeX of the publication behind a recipe."""
    from add4rsc.methods import methods, recipes

    typer.echo(methods.get(recipes.get(recipe)().method).paper.bibtex())
