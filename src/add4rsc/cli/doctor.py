"""`add4rsc doctor`."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from add4rsc.cli._app import app
from add4rsc.cli._output import print_json


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Say what is installed, on what it would run, and where files are kept."""
    report = _examine()
    if as_json:
        print_json(report)
        return
    for section, value in report.items():
        if not isinstance(value, dict):
            typer.echo(f"{section}: {value}")
            continue
        typer.echo(f"{section}:")
        for key, entry in value.items():
            typer.echo(f"    {key}: {entry}")


def _examine() -> dict[str, Any]:
    import soundfile

    from add4rsc.engine.features import cache_folder
    from add4rsc.engine.provenance import describe_environment

    environment = describe_environment()
    folders = {"features": cache_folder(), "weights": cache_folder().parent / "weights", "here": Path.cwd()}
    return {
        **environment,
        "device": _device(),
        "audio": {"libsndfile": soundfile.__libsndfile_version__, "formats": ", ".join(soundfile.available_formats())},
        "writable": {name: f"{path} ({'yes' if _is_writable(path) else 'no'})" for name, path in folders.items()},
    }


def _device() -> str:
    try:
        import torch
    except ImportError:
        return "torch is not installed: evaluate works, train does not. Run: pip install 'add4rsc[train]'"
    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name()}"
    return "mps" if torch.backends.mps.is_available() else f"cpu, {torch.get_num_threads()} threads"


def _is_writable(folder: Path) -> bool:
    """Whether a file can be made in the folder, or in the nearest one above that exists."""
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
