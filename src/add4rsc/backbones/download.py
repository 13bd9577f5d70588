"""Fetch a published checkpoint when asked to, and import it."""

from pathlib import Path
from urllib.parse import urlsplit

from add4rsc.backbones._sources import WEIGHTS
from add4rsc.backbones.weights import ImportReport, import_weights, require_known, weights_folder
from add4rsc.datasets._base import Download
from add4rsc.datasets.obtaining import Progress, fetch

WHOLE_SHA256 = 64
"""Hexadecimal digits; of some files fewer are published, which the import compares."""


def download_weights(name: str, progress: Progress | None = None) -> ImportReport:
    """Fetch the file of a name of `WEIGHTS`, going on with what an earlier try left, and import it.

    Raises:
        WrongUsageError: if there is no such name.
        DownloadError: if it cannot be fetched, or is not the published file.
        CheckpointError: if it does not hold the backbone's tensors.
    """
    require_known(name)
    source = WEIGHTS[name]
    folder = weights_folder() / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    sha256 = source.sha256 if len(source.sha256) == WHOLE_SHA256 else ""
    file_name = f"{name.replace('/', '-')}{Path(urlsplit(source.url).path).suffix}"
    file = fetch(Download(source.url, file_name, sha256), folder, progress)
    return import_weights(file, name)
