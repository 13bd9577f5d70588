"""`add4rsc ablate`: the table that says which part of ADD4RSC brings what."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from add4rsc.cli._app import app
from add4rsc.cli._output import print_json, print_table

if TYPE_CHECKING:
    from add4rsc.methods._ablation import AblationRow

MEASURES = ("specificity", "sensitivity", "score")


@app.command()
def ablate(
    backbone: Annotated[str, typer.Argument(help="As in the recipe add4rsc/BACKBONE: ast, resnet50, mn04 ...")],
    data_folder: Annotated[Path, typer.Option(help="The corpus, in its publisher's layout.")],
    run_folder: Annotated[
        Path | None, typer.Option("--run-folder", "-o", help="Where to write; default runs/ablation/BACKBONE.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="One run a seed, such as 1,2,3.")] = "1",
    preset: Annotated[str | None, typer.Option(help="Form of the ADD layer; default: the recipe's.")] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key.")] = None,
    devices: Annotated[int, typer.Option(min=1, help="Processes to train on together.")] = 1,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Further processes that load batches.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on; finished rows are kept.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the runs in the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train ADD4RSC without its filter, attention or loss, in the seven rows of the paper's table."""
    from add4rsc.cli._recipes import find_recipe, read_seeds
    from add4rsc.engine.run import RunSettings, train
    from add4rsc.methods._ablation import ROWS, ablation_recipe
    from add4rsc.storage import write_json

    recipe, seed_list = find_recipe(f"add4rsc/{backbone}", None, changes or []), read_seeds(seeds)
    folder = run_folder or Path("runs") / "ablation" / backbone
    rows = []
    for row in ROWS:
        settings = RunSettings(data_folder, folder / row.folder, devices, accelerator, workers, resume, overwrite)
        rows.append(_entry(row, train(ablation_recipe(recipe, row, preset), seed_list, settings), backbone))
    result = {"recipe": recipe.name, "preset": preset or recipe.options.get("preset"), "seeds": seed_list, "rows": rows}
    write_json(folder / "ablation.json", result)
    if as_json:
        print_json(result)
    else:
        _print(result, folder)


def _entry(row: "AblationRow", summary: dict[str, Any], backbone: str) -> dict[str, Any]:
    """What is said of one row."""
    from add4rsc.methods._ablation import BASELINE_SCORE

    measured = {}
    for name in MEASURES:
        value = summary[name]
        measured[name] = value if isinstance(value, dict) else {"mean": value, "sd": None, "values": [value]}
    reported = None if row.reported is None else row.reported.model_dump()
    if row.reported is None:
        reported = {"specificity": None, "sensitivity": None, "score": BASELINE_SCORE}
    shared = {key: summary[key] for key in ("split", "selection", "is_official", "n_cycles", "n_patients")}
    return {"row": row.name, "folder": row.folder, "reported": reported if backbone == "ast" else None, **measured} | (
        shared
    )


def _print(result: dict[str, Any], folder: Path) -> None:
    from add4rsc.terms import RESEARCH_USE_ONLY

    rows = [
        [entry["row"], *(_measured(entry[name]) for name in MEASURES), _reported(entry["reported"])]
        for entry in result["rows"]
    ]
    n_seeds = len(result["seeds"])
    title = f"{result['recipe']}, {result['preset']}, {n_seeds} seed{'s' if n_seeds > 1 else ''}"
    print_table(title, ["ADD parts", "Sp", "Se", "Score", "reported Sp / Se / Score"], rows)
    first = result["rows"][0]
    complete = "complete official test" if first["is_official"] else "not a complete official test"
    typer.echo(
        f"{first['n_cycles']} test cycles of {first['n_patients']} patients; split {first['split']} ({complete})."
    )
    if first["reported"] is not None:
        typer.echo(
            "Reported: without seeds, from a random division of files that shares patients, chosen on its test set; "
            "not comparable with the official split."
        )
    typer.echo(f"Every row's recipe, predictions and scores: {folder}. {RESEARCH_USE_ONLY}")


def _measured(value: dict[str, Any]) -> str:
    mean = f"{100 * value['mean']:.2f}"
    return mean if value["sd"] is None else f"{mean} ± {100 * value['sd']:.2f}"


def _reported(reported: dict[str, float | None] | None) -> str:
    if reported is None:
        return "-"
    return " / ".join("-" if reported[name] is None else f"{100 * (reported[name] or 0):.2f}" for name in MEASURES)
