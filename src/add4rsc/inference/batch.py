"""Many recordings: one after the other, each kept as soon as it is done, and all put together at the end."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

from add4rsc.errors import AnnotationError, AudioError, MissingExtraError, RunFolderError, StorageError
from add4rsc.inference._base import AbstractClassifier
from add4rsc.inference._batch_folder import Plan, open_folder, read_settings, settings_of
from add4rsc.inference.denoise import require_filter
from add4rsc.inference.formats._base import Report
from add4rsc.inference.illustration import add_denoised, copy_denoised
from add4rsc.inference.journal import Entry, Journal, stamp_of
from add4rsc.inference.listing import Source, shard_of
from add4rsc.inference.outputs import PER_FILE, write_combined, write_report
from add4rsc.inference.pipeline import Choices, classify_file, unjudged_problem
from add4rsc.inference.result import FileProblem

JOURNAL = "journal.jsonl"

Watcher = Callable[[Entry], object]
"""Told of every file that is done."""


@dataclass(frozen=True)
class Outcome:
    """What came of a batch."""

    n_files: int
    n_problems: int
    n_cycles: int
    paths: tuple[Path, ...]
    missing: tuple[str, ...] = ()
    """What is not in it that should be: parts that were not given, or not finished."""

    @property
    def exit_code(self) -> int:
        """0 if all is well, 3 if a part of it is."""
        return 3 if self.n_problems or self.missing else 0


def run_batch(
    classifier: AbstractClassifier,
    sources: Sequence[Source],
    folder: Path,
    plan: Plan,
    *,
    unlisted: Sequence[FileProblem] = (),
    watch: Watcher | None = None,
) -> Outcome:
    """Classify many recordings into a folder. Killed at any time, it goes on with `plan.resume` to the same result.

    Args:
        classifier: the model.
        sources: all recordings of the cohort, also those of other shards.
        folder: of this batch or shard.
        plan: how.
        unlisted: folders that could not be looked into.
        watch: told of each file.

    Raises:
        RunFolderError: if the folder holds a batch and `plan.resume` is false, or one of another plan.
        WrongUsageError: if the denoised view is asked for, and the model has no ADD layer.
        StorageError: if the disk is full; `plan.resume` goes on from there.
    """
    if plan.denoised:
        require_filter(classifier)
    settings = settings_of(classifier, sources, plan, unlisted)
    open_folder(folder, settings, plan.resume)
    journal = Journal(folder / JOURNAL)
    journal.trim()
    for source in shard_of(list(sources), *plan.shard):
        stamp = stamp_of(source.path)
        if journal.has(source.name, stamp):
            continue
        entry = classify_source(classifier, source, plan.choices)
        if plan.denoised:
            entry = add_denoised(classifier, source, entry, folder, plan.draw)
        if entry.result is not None:
            write_report(_report_of(settings, entry), folder / PER_FILE / entry.output, plan.formats)
        journal.append(entry)
        if watch is not None:
            watch(entry)
    return _finish(folder, journal, settings, ())


def classify_source(classifier: AbstractClassifier, source: Source, choices: Choices) -> Entry:
    """Classify one recording; whatever is wrong with it becomes the entry's problem."""
    stamp = stamp_of(source.path)
    try:
        result = classify_file(classifier, source.path, source.name, choices)
    except (AudioError, AnnotationError) as error:
        where = "" if str(error.path) == str(source.path) else f"{error.path} "
        problem = FileProblem(source.name, where + error.problem, error.remedy)
        return Entry(source.name, source.output, stamp, problem=problem)
    except (StorageError, MissingExtraError):
        raise
    except (OSError, ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError) as error:
        reason = f"cannot be read as sound ({type(error).__name__}: {error})"
        problem = FileProblem(source.name, reason, "Copy the file again from its source, or leave it out")
        return Entry(source.name, source.output, stamp, problem=problem)
    reason = unjudged_problem(result)
    remedy = "Record again, or leave the file out; its rows abstain"
    problem = FileProblem(source.name, reason, remedy) if reason else None
    return Entry(source.name, source.output, stamp, result, problem)


def merge_batches(parts: Sequence[Path], folder: Path, *, resume: bool = False) -> Outcome:
    """Join the parts of a sharded batch into the folder that one machine would have written.

    Args:
        parts: folders of `run_batch` with `shard`, in any order.
        folder: to write.
        resume: the folder may hold an earlier join of the same parts.

    Raises:
        RunFolderError: if a part holds no batch, or the parts are not of one plan and one list of files.
    """
    settings = [read_settings(part) for part in parts]
    common = [{key: value for key, value in each.items() if key != "shard"} for each in settings]
    for part, each in zip(parts, common, strict=True):
        differing = [key for key in each if each[key] != common[0].get(key)]
        if differing:
            raise RunFolderError(
                f"{part} differs from {parts[0]} in {', '.join(differing)}. Join parts of one batch: the same model, "
                "options, formats and files."
            )
    whole = {**settings[0], "shard": [1, 1]}
    open_folder(folder, whole, resume)
    journals = [Journal(part / JOURNAL) for part in parts]
    joined = Journal(folder / JOURNAL)
    for part, entry in _in_order(parts, journals):
        if not joined.has(entry.name, entry.stamp):
            copy_denoised(entry, part, folder)
            if entry.result is not None:
                write_report(_report_of(whole, entry), folder / PER_FILE / entry.output, whole["formats"])
            joined.append(entry)
    return _finish(folder, joined, whole, _missing(parts, settings, journals))


def _in_order(parts: Sequence[Path], journals: Sequence[Journal]) -> Iterator[tuple[Path, Entry]]:
    """The entries of all journals with the folders they are from, in order of their names, each name once."""
    walks = (zip(repeat(part), journal.entries()) for part, journal in zip(parts, journals, strict=True))
    last = None
    for part, entry in heapq.merge(*walks, key=lambda each: each[1].name):
        if entry.name != last:
            yield part, entry
        last = entry.name


def _missing(parts: Sequence[Path], settings: Sequence[dict[str, Any]], journals: Sequence[Journal]) -> tuple[str, ...]:
    """Which shards are not there, and which are not finished."""
    missing = []
    n_shards, n_listed = settings[0]["shard"][1], settings[0]["n_listed"]
    given = {each["shard"][0] for each in settings}
    missing += [f"shard {index}/{n_shards}" for index in range(1, n_shards + 1) if index not in given]
    for part, each, journal in zip(parts, settings, journals, strict=True):
        n_expected = len(range(each["shard"][0] - 1, n_listed, n_shards))
        if len(journal) < n_expected:
            missing.append(f"{n_expected - len(journal)} of {n_expected} files of {part}")
    return tuple(missing)


def _finish(folder: Path, journal: Journal, settings: dict[str, Any], missing: tuple[str, ...]) -> Outcome:
    problems = [FileProblem(**row) for row in settings["unlisted"]]
    problems += [entry.problem for entry in journal.entries() if entry.problem is not None]
    report = _report(settings, journal.results, tuple(sorted(problems, key=lambda each: each.file)))
    paths = write_combined(report, folder, settings["formats"])
    n_cycles = sum(len(result.cycles) for result in journal.results())
    return Outcome(len(journal), len(problems), n_cycles, tuple(paths), missing)


def _report_of(settings: dict[str, Any], entry: Entry) -> Report:
    result = entry.result
    return _report(
        settings, lambda: () if result is None else (result,), () if entry.problem is None else (entry.problem,)
    )


def _report(settings: dict[str, Any], recordings: Callable[[], Any], problems: tuple[FileProblem, ...]) -> Report:
    return Report(recordings, tuple(settings["classes"]), settings["model_name"], settings["notes"], problems, _locate)


def _locate(file: str) -> Path | None:
    path = Path(file)
    return path if path.is_file() else None
