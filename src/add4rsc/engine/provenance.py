"""What ran where: versions, commit and machine, for `run.json` and `add4rsc doctor`."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "add4rsc",
    "torch",
    "lightning-fabric",
    "numpy",
    "scipy",
    "pandas",
    "soundfile",
    "soxr",
    "scikit-learn",
    "onnxruntime",
)


def package_versions() -> dict[str, str]:
    """Versions of what a result depends on; packages that are not installed are left out."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def source_commit() -> str:
    """Commit of the checkout that this package runs from, with `+changes` if it was changed since; empty if none."""
    here = Path(__file__).resolve().parents[1]  # changes anywhere in the package count
    try:
        commit = _git(here, "rev-parse", "HEAD")
        tracked = _git(here, "ls-files", "--error-unmatch", str(Path(__file__).resolve()))
        return commit + ("+changes" if tracked and _git(here, "status", "--porcelain", "--", str(here)) else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603


def describe_environment() -> dict[str, Any]:
    """Python, packages, commit and processor."""
    return {
        "python": platform.python_version(),
        "platform": platform.system() + " " + platform.machine(),
        "n_cpus": os.cpu_count(),
        "packages": package_versions(),
        "commit": source_commit(),
    }
