"""`add4rsc serve`."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from add4rsc.cli._app import app
from add4rsc.errors import MissingExtraError
from add4rsc.terms import RESEARCH_USE_ONLY


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    token: Annotated[
        str, typer.Option(envvar="ADD4RSC_TOKEN", help="That clients must show; better in ADD4RSC_TOKEN.")
    ] = "",
    model: Annotated[
        Path | None, typer.Option(help="An ONNX file or a run folder; default: the package's own.")
    ] = None,
    max_upload: Annotated[int, typer.Option(min=1, max=4096, help="Largest upload in MiB.")] = 64,
    max_duration: Annotated[float, typer.Option(min=1, help="Longest recording in seconds.")] = 7200.0,
    memory: Annotated[int, typer.Option(min=16, help="MiB of sounds and results that are held at once.")] = 512,
    keep: Annotated[
        float, typer.Option(min=1, help="Minutes until a recording that nobody asks for is forgotten.")
    ] = 30.0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Recordings classified at once; default: processors.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log each request, without names and addresses.")] = False,
) -> None:
    """Open a page to look and listen at, and a REST API, on this machine. Research use only, not a medical device."""
    try:
        from add4rsc.serve.limits import MEBIBYTE, Limits
        from add4rsc.serve.server import Place, open_shared, run_server
    except ImportError as error:
        raise MissingExtraError("`add4rsc serve`", "serve") from error

    chosen = {} if workers is None else {"n_workers": workers}
    limits = Limits(
        max_upload_bytes=max_upload * MEBIBYTE,
        max_duration=max_duration,
        max_memory_bytes=memory * MEBIBYTE,
        keep=60 * keep,
        **chosen,
    )
    place = Place(host, port, token)
    place.check()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level="INFO" if verbose else "WARNING")
    classifier = open_shared(model, limits)
    typer.echo(f"{RESEARCH_USE_ONLY}\nOpen {place.address} (model {classifier.name}). Stop with Ctrl-C.")
    try:
        run_server(classifier, place, limits)
    except KeyboardInterrupt:
        typer.echo("Stopped; everything that was held is forgotten.")
