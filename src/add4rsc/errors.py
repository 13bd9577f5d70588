"""Every exception that we raise on purpose; each message ends with what to do."""

import difflib
from collections.abc import Iterable
from pathlib import Path


class Add4rscError(Exception):
    """A problem that the user can mend. The command line prints it without a traceback and exits with `exit_code`."""

    exit_code = 1


class WrongUsageError(Add4rscError):
    """An option, name or key that does not exist, or cannot be combined so."""

    exit_code = 2


class UnknownNameError(WrongUsageError):
    """A name that no plug-in has."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(names)}."
        super().__init__(f"There is no {kind} '{name}'. {hint} See `add4rsc list {kind.rsplit(maxsplit=1)[-1]}s`.")


class RecipeError(WrongUsageError):
    """A recipe key or value that the recipe cannot hold."""


class MissingExtraError(Add4rscError):
    """A part of the package that was not installed is needed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs packages that are not installed. Run: pip install 'add4rsc[{extra}]'")


class AudioError(Add4rscError):
    """A recording that cannot be read as sound."""

    def __init__(self, path: Path | str, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem}. {remedy}")
        self.path, self.problem, self.remedy = str(path), problem, remedy


class AnnotationError(Add4rscError):
    """An annotation, split or metadata file that does not hold what its format says."""

    def __init__(self, path: Path | str, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem}. {remedy}")
        self.path, self.problem, self.remedy = str(path), problem, remedy


class DatasetNotFoundError(Add4rscError):
    """The corpus is not where we looked."""

    def __init__(self, dataset: str, folder: Path | str, expected: str) -> None:
        super().__init__(
            f"{dataset}: no recordings in {folder}. Expected {expected}. "
            f"Pass the right --data-folder, or see `add4rsc data obtain {dataset}`."
        )


class PatientLeakError(Add4rscError):
    """A patient is in two subsets of a split that is not known for it."""

    def __init__(self, split: str, patients: Iterable[str]) -> None:
        listed = ", ".join(sorted(patients))
        super().__init__(
            f"Split '{split}' puts these patients in training and in test: {listed}. "
            "Divide by patient, or use a named split whose overlap is known (`add4rsc list splits`)."
        )


class SplitError(Add4rscError):
    """A split that cannot be made from the data at hand."""


class RunFolderError(Add4rscError):
    """A run folder that is already used, incomplete or of another recipe."""


class CheckpointError(Add4rscError):
    """A checkpoint or weight file that does not fit, is damaged, or cannot be trusted."""


class PredictionsError(Add4rscError):
    """A table of predictions that does not hold what the contract says."""


class DownloadError(Add4rscError):
    """A file that could not be fetched, or is not the one that was promised."""


class StorageError(Add4rscError):
    """A file could not be written; what stood there before is still good."""


class DivergedError(Add4rscError):
    """Training whose loss is no longer a finite number."""
