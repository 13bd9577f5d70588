"""What is measured: corruptions, their noise classes, levels and noise seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from add4rsc.errors import WrongUsageError
from add4rsc.robustness.corruptions import corruptions
from add4rsc.robustness.corruptions._base import ONLY_CLASS, SNR_UNIT, AbstractCorruption

CLEAN = "clean"
"""Stands for no corruption at all; always measured."""
N_NOISE_SEEDS = 3


@dataclass(frozen=True, order=True)
class Condition:
    """One pass over the test cycles. A corruption that draws nothing has noise seed 0, and clean sound level 0 too."""

    corruption: str
    noise_class: str = ONLY_CLASS
    level: float = 0.0
    noise_seed: int = 0

    @property
    def stem(self) -> str:
        """Name of the condition's file, such as `recorded__rain__-5__1`."""
        return "__".join([self.corruption, quote(self.noise_class, safe=""), f"{self.level:g}", str(self.noise_seed)])

    @classmethod
    def of_stem(cls, stem: str) -> "Condition":
        """The condition whose file has that name.

        >>> Condition.of_stem(Condition("recorded", "sea waves", -5.0, 2).stem).noise_class
        'sea waves'
        """
        corruption, rest = stem.split("__", maxsplit=1)
        noise_class, level, noise_seed = rest.rsplit("__", maxsplit=2)
        return cls(corruption, unquote(noise_class), float(level), int(noise_seed))

    def __str__(self) -> str:
        """In words, for progress."""
        if self.corruption == CLEAN:
            return CLEAN
        name = f"{self.corruption} {self.noise_class}".strip()
        seed = f", seed {self.noise_seed}" if self.noise_seed else ""
        return f"{name} {self.level:g} {corruptions.get(self.corruption).unit}{seed}"


@dataclass(frozen=True)
class Grid:
    """What to measure, as asked for; what is not said is everything that can be."""

    names: tuple[str, ...] = ()
    """Corruptions; none named are all, recorded noise only with a folder."""
    noise_classes: tuple[str, ...] = ()
    snr_db: tuple[float, ...] = ()
    """Levels of everything that is mixed at a signal-to-noise ratio."""
    levels: Mapping[str, tuple[float, ...]] | None = None
    """Levels of single corruptions."""
    n_noise_seeds: int | None = None
    """Draws of every random corruption."""
    noise_folder: Path | None = None

    def check_names(self) -> None:
        """Make sure that every corruption exists.

        Raises:
            UnknownNameError: for the first that does not.
        """
        for name in self.names:
            if name != CLEAN:
                corruptions.get(name)

    def chosen(self) -> tuple[str, ...]:
        """Names of the corruptions, each once.

        Raises:
            UnknownNameError: if there is none of a name.
            WrongUsageError: if one needs a noise folder that was not given, or levels are of one that is not measured.
        """
        if not self.names:
            found = tuple(each for each in corruptions.names() if self._has_folder(each))
        else:
            found = tuple(dict.fromkeys(each for each in self.names if each != CLEAN))
        for name in found:
            if not self._has_folder(name):
                raise WrongUsageError(f"Corruption '{name}' needs --noise-folder, a folder of sound files.")
        for name in self.levels or {}:
            if name not in found:
                raise WrongUsageError(f"--levels {name}=...: '{name}' is not measured. Name it in --corruptions too.")
        return found

    def create(self, sample_rate: int) -> dict[str, AbstractCorruption]:
        """The chosen corruptions at a sample rate (hertz), by name."""
        return {name: corruptions.get(name)(sample_rate, self.noise_folder) for name in self.chosen()}

    def conditions(self, made: Mapping[str, AbstractCorruption]) -> list[Condition]:
        """Every condition, clean sound first.

        Raises:
            WrongUsageError: for a noise class that no corruption has.
        """
        known = {each for corruption in made.values() for each in corruption.noise_classes} - {ONLY_CLASS}
        unknown = sorted(set(self.noise_classes) - known)
        if unknown:
            told = ", ".join(sorted(known)) or "none; recorded noise needs --noise-folder"
            raise WrongUsageError(f"There is no noise class '{unknown[0]}'. Known: {told}.")
        return [
            Condition(CLEAN),
            *(
                Condition(name, noise_class, level, seed)
                for name, corruption in made.items()
                for noise_class in corruption.noise_classes
                if noise_class == ONLY_CLASS or not self.noise_classes or noise_class in self.noise_classes
                for level in self.levels_of(name)
                for seed in (range(1, (self.n_noise_seeds or N_NOISE_SEEDS) + 1) if corruption.is_random else (0,))
            ),
        ]

    def levels_of(self, name: str) -> tuple[float, ...]:
        """Levels of a corruption: those asked for, or its usual ones."""
        return self._wanted_levels(name) or corruptions.get(name).levels

    def asks_for(self, condition: Condition) -> bool:
        """Whether a stored condition is one of those asked for."""
        if condition.corruption == CLEAN:
            return True
        wanted = self._wanted_levels(condition.corruption)
        return (
            condition.corruption in (self.names or (condition.corruption,))
            and condition.noise_class in (ONLY_CLASS, *(self.noise_classes or (condition.noise_class,)))
            and condition.noise_seed <= (self.n_noise_seeds or condition.noise_seed)
            and condition.level in (wanted or (condition.level,))
        )

    def unmet(self, found: Sequence[Condition]) -> list[str]:
        """What was asked for by name and is not among some conditions, in words."""
        names = {each.corruption for each in found}
        classes = {each.noise_class for each in found}
        missing = [f"corruption {each}" for each in self.names if each not in names and each != CLEAN]
        missing += [f"noise class {each}" for each in self.noise_classes if each not in classes]
        for name in sorted(names - {CLEAN}):
            measured = {each.level for each in found if each.corruption == name}
            absent = [level for level in self._wanted_levels(name) if level not in measured]
            missing += [f"{name} at {level:g}" for level in absent]
        return missing

    def _wanted_levels(self, name: str) -> tuple[float, ...]:
        """The levels that were asked for of a corruption; none where nothing was said."""
        by_snr = self.snr_db if corruptions.get(name).unit == SNR_UNIT else ()
        return (self.levels or {}).get(name, by_snr)

    def _has_folder(self, name: str) -> bool:
        return self.noise_folder is not None or not corruptions.get(name).needs_noise_folder
