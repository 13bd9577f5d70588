"""`add4rsc check-published`."""

from typing import Annotated, Any

import typer

from add4rsc.cli._app import app
from add4rsc.cli._output import print_json, print_table

PARTS = ("specificity", "sensitivity")


@app.command(name="check-published")
def check_published(
    specificity: Annotated[str, typer.Argument(metavar="SP", help="Specificity in per cent, as printed: 85.13.")],
    sensitivity: Annotated[str, typer.Argument(metavar="SE", help="Sensitivity in per cent, as printed: 45.94.")],
    split: Annotated[str | None, typer.Option(help="Name of a complete test; default: try all of them.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Can these two percentages come from one run on this split? A share of n cycles is k/n for a whole k."""
    from add4rsc.protocol.sizes import published_size, published_sizes

    every = published_sizes()
    sizes = {split: published_size(split)} if split else {name: every[name] for name in every if not _is_fold(name)}
    found = {name: _check((specificity, sensitivity), (size.n_normal, size.n_abnormal)) for name, size in sizes.items()}
    if as_json:
        print_json(found[split] if split else {"splits": found})
        return
    rows = [[name, *(_told(result[part]) for part in PARTS)] for name, result in found.items()]
    print_table(f"Sp {specificity}, Se {sensitivity}", ["split", *PARTS], rows)
    for part in PARTS:
        chance = max(result[part]["chance"] for result in found.values())
        weak = ", so this is a weak test" if any(result[part]["weak"] for result in found.values()) else ""
        typer.echo(f"{part}: up to {chance:.0%} of all percentages with as many decimals fit by chance{weak}.")
    typer.echo("Means over several seeds need not fit any count.")


def _is_fold(name: str) -> bool:
    """Whether a test is one of several that are reported together."""
    return name.count("/") > 1 and not name.endswith("/recordings")


def _check(printed: tuple[str, str], n_items: tuple[int, int]) -> dict[str, Any]:
    from add4rsc.metrics.published import check_percentage

    checks = (check_percentage(text, n) for text, n in zip(printed, n_items, strict=True))
    return {
        part: {
            "possible": check.possible,
            "count": check.count,
            "counts": list(check.counts),
            "n_cycles": check.n_cycles,
            "decimals": check.decimals,
            "chance": check.chance,
            "weak": check.is_weak,
        }
        for part, check in zip(PARTS, checks, strict=True)
    }


def _told(check: dict[str, Any]) -> str:
    if not check["possible"]:
        return f"no share of {check['n_cycles']}"
    several = f" ({len(check['counts'])} counts fit)" if len(check["counts"]) > 1 else ""
    return f"{check['count']} of {check['n_cycles']}{several}"
