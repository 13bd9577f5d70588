"""`add4rsc compare`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from add4rsc.cli._app import app
from add4rsc.cli._output import print_json, print_table
from add4rsc.errors import WrongUsageError
from add4rsc.terms import RESEARCH_USE_ONLY


class Seeds(StrEnum):
    """What counts as the result of a run of several seeds."""

    MEAN = "mean"
    ENSEMBLE = "ensemble"


@app.command()
def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN_A RUN_B...", help="Run folders or predictions CSVs; the first is A.")
    ],
    seeds: Annotated[
        Seeds, typer.Option(help="Of several seeds: the mean of their scores, or one decision by mean probabilities.")
    ] = Seeds.MEAN,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare runs on the same cycles, patient by patient: every run after the first with the first."""
    from dataclasses import asdict

    from add4rsc.metrics.compare import compare_many
    from add4rsc.metrics.evaluation import without_nan
    from add4rsc.metrics.runs import mean_probabilities, read_run

    if len(runs) < 2:
        raise WrongUsageError("compare needs two runs or more: add4rsc compare RUN_A RUN_B.")
    first, *others = (read_run(path) for path in runs)
    if seeds is Seeds.ENSEMBLE:
        first, *others = (mean_probabilities(run) for run in (first, *others))
    found = [_plain(without_nan(asdict(each))) for each in compare_many(first, others)]
    if as_json:
        print_json(found[0] if len(found) == 1 else {"comparisons": found})
        return
    for each in found:
        _print_comparison(each, n_compared=len(found))
    typer.echo(RESEARCH_USE_ONLY)


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    """The same, with intervals as pairs, as `evaluate` has them."""
    for score in result["scores"].values():
        score["interval"] = [score["interval"]["low"], score["interval"]["high"]]
    return result


def _print_comparison(result: dict[str, Any], n_compared: int) -> None:
    rows = []
    for name, score in result["scores"].items():
        low, high = map(_number, score["interval"])
        values = [_number(score[key]) for key in ("first", "second", "difference")]
        p_values = [_p(score["p_permutation"]), *([_p(score["p_holm"])] if n_compared > 1 else [])]
        rows.append([name.replace("_", " "), *values, f"{low} to {high}", *p_values])
    columns = ["", "A", "B", "B - A", "95 % interval over patients", "p (permutation)"]
    columns += [f"p (Holm, {n_compared} comparisons)"] if n_compared > 1 else []
    print_table(f"A: {result['first']}   B: {result['second']}", columns, rows)
    for seed, tests in result["mcnemar"].items():
        told = f", seed {seed}" if len(result["mcnemar"]) > 1 else ""
        test = tests["all"]
        typer.echo(
            f"McNemar{told}: {test['only_first_right']} cycles only A has right, {test['only_second_right']} only B, "
            f"p {_p(test['p'])} (as if cycles of a patient were independent)."
        )
    from add4rsc.metrics.runs import describe_selection

    chosen = {side: describe_selection(name) for side, name in result["selection"].items()}
    typer.echo(f"A: {chosen['first']}. B: {chosen['second']}.")
    typer.echo(
        f"{result['n_cycles']} cycles of {result['n_patients']} patients. Seeds of A: {_seeds(result, 'first')}; "
        f"of B: {_seeds(result, 'second')}. Paired: {result['paired']}."
    )


def _seeds(result: dict[str, Any], side: str) -> str:
    return ", ".join(str(seed) for seed in result["seeds"][side]) if len(result["seeds"][side]) > 1 else "one table"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _p(value: float | None) -> str:
    return "below 0.0001" if value is not None and value < 1e-4 else _number(value)
