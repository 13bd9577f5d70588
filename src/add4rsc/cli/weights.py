"""`add4rsc weights`: pretrained checkpoints."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from add4rsc.cli._app import PARTLY_DONE, app
from add4rsc.cli._output import print_json, print_table

if TYPE_CHECKING:
    from add4rsc.backbones.weights import ImportReport

weights = typer.Typer(help="List, import and check pretrained checkpoints.", no_args_is_help=True)
app.add_typer(weights, name="weights")


@weights.command(name="list")
def list_weights(
    download: Annotated[
        str | None, typer.Option(metavar="NAME", help="Fetch this one and import it; an earlier try is resumed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Where each checkpoint is to be had, its licence, size and SHA-256, and whether it was imported."""
    if download is not None:
        from add4rsc.backbones.download import download_weights
        from add4rsc.cli.data import ByteBars

        _report(download_weights(download, ByteBars()))
        return
    from add4rsc.backbones.weights import WEIGHTS, weights_file

    rows = [
        {
            "name": name,
            "origin": source.origin,
            "licence": source.licence,
            "size": source.size,
            "sha256": source.sha256,
            "url": source.url,
            "imported": weights_file(name).exists(),
            "packaged": bool(source.packaged),
        }
        for name, source in WEIGHTS.items()
    ]
    if as_json:
        print_json({"weights": rows})
        return
    for row in rows:
        state = "  (in the package)" if row["packaged"] else "  (imported)" if row["imported"] else ""
        typer.echo(f"{row['name']}{state}")
        for key in ("origin", "licence", "size", "sha256", "url"):
            if row[key] or not row["packaged"]:
                typer.echo(f"    {key:8} {row[key] or 'not published'}")


@weights.command()
def extract(
    run_folder: Annotated[Path, typer.Argument(help="A run, such as one of m2d/ast-small-pretraining.")],
    file: Annotated[Path, typer.Argument(help="What to write; give its path where weights are asked for.")],
    halved: Annotated[bool, typer.Option("--half", help="In half precision.")] = False,
) -> None:
    """Keep of a run nothing but its backbone, as weights that other recipes start from."""
    from add4rsc.backbones.weights import extract_backbone

    extract_backbone(run_folder / "model.safetensors", file, halved=halved)
    typer.echo(f"{file}: {file.stat().st_size:,} bytes. Use it with --set weights={file}")


@weights.command(name="import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A checkpoint that you have downloaded.")],
    name: Annotated[str | None, typer.Option(help="Which one it is; default: recognise it by its tensors.")] = None,
    run_folder: Annotated[
        Path | None, typer.Option(help="Where a training checkpoint's run goes; default runs/imported/FILE.")
    ] = None,
) -> None:
    """Check a checkpoint, rename its tensors and keep it where recipes find it.

    A training checkpoint of the released Patch-Mix or ADD4RSC code becomes a run folder, to be tested and explained.
    """
    from add4rsc.backbones.weights import import_weights
    from add4rsc.engine.released import import_training_checkpoint, read_training_checkpoint

    if name is None and file.is_file() and read_training_checkpoint(file) is not None:
        folder = run_folder or Path("runs") / "imported" / file.stem
        found = import_training_checkpoint(file, folder)
        typer.echo(f"{found.kind}: {len(found.tensors)} tensors, as a run of {found.recipe.name} in {folder}")
        return
    _report(import_weights(file, name))


def _report(report: "ImportReport") -> None:
    typer.echo(f"{report.name}: {len(report.keys.matched)} tensors matched, kept in {report.path}")
    for problem, keys in (("not used", report.keys.extra), ("missing", report.keys.missing)):
        if keys:
            typer.echo(f"    {problem}: {', '.join(keys)}")
    known = "is the published file's" if report.is_verified else "is not known to us"
    typer.echo(f"    SHA-256 {report.sha256} {known}")


@weights.command()
def verify() -> None:
    """Read every imported file again and compare it with what was imported. Exit code 3 if one is damaged."""
    from add4rsc.backbones.weights import verify_weights, weights_folder

    checks = verify_weights()
    if not checks:
        typer.echo(f"No weights in {weights_folder()}. Import a file with `add4rsc weights import FILE`.")
        return
    print_table(str(weights_folder()), ["name", "state"], [[each.name, each.problem or "good"] for each in checks])
    bad = [each for each in checks if each.problem]
    for each in bad:
        typer.echo(f"{each.path}: {each.problem}. {each.remedy}")
    if bad:
        raise typer.Exit(PARTLY_DONE)
