"""Which uploads are sounds that may be decoded: looked at before any decoder does its work."""

import itertools
from collections.abc import Sequence
from pathlib import PurePath

from add4rsc.audio.io import AudioInfo, read_info
from add4rsc.errors import AudioError
from add4rsc.inference.annotations import annotation_formats
from add4rsc.inference.result import FileProblem
from add4rsc.serve.limits import Limits
from add4rsc.serve.problems import RefusedError
from add4rsc.serve.sounds import Sound, as_file, safe_name, told_by_name
from add4rsc.serve.uploads import Upload

SIGNATURES = (
    (0, b"RIFF", ""),
    (0, b"RIFX", ""),
    (0, b"RF64", ""),
    (0, b"riff\x2e\x91\xcf\x11", ""),
    (0, b"fLaC", ""),
    (0, b"OggS", ""),
    (0, b"FORM", ""),
    (0, b".snd", ""),
    (0, b"caff", ""),
    (0, b"ID3", ".mp3"),
)
"""Offset, first bytes, and the suffix that the reader wants: WAV, W64, FLAC, OGG (Vorbis, Opus), AIFF, AU, CAF, MP3.

Of libsndfile's two dozen formats the others are as old as they are rare, and their parsers seldom looked at.
"""
KNOWN = "WAV, W64, RF64, FLAC, OGG (Vorbis or Opus), MP3, AIFF, AU or CAF"
NOT_SOUND, TOO_LARGE, CANNOT_BE_READ = 415, 413, 422
_SEVERITY = (CANNOT_BE_READ, TOO_LARGE, NOT_SOUND)


class Admitted:
    """What an upload turned out to be: sounds in their order, and what is wrong with the rest."""

    def __init__(self) -> None:
        self.sounds: list[Sound] = []
        self.problems: list[FileProblem] = []
        self._statuses: list[int] = []

    def refuse(self, name: str, status: int, problem: str, remedy: str) -> None:
        """Note a file that is not taken."""
        self.problems.append(FileProblem(name, problem, remedy))
        self._statuses.append(status)

    def unused(self, name: str) -> str:
        """A name that no other sound has: `breath (2).wav` beside a `breath.wav`."""
        taken = {each.name for each in self.sounds}
        path = PurePath(name)
        others = (f"{path.stem} ({number}){path.suffix}" for number in itertools.count(2))
        return next(each for each in itertools.chain([name], others) if each not in taken)

    def check(self) -> None:
        """Go on only if there is a sound.

        Raises:
            RefusedError: with the problem of the first file.
        """
        if self.sounds:
            return
        if not self.problems:
            raise RefusedError(
                422, "The request holds no file", "Send one as its body, or as a part of multipart/form-data"
            )
        first = self.problems[0]
        status = next(each for each in _SEVERITY if each in self._statuses)
        raise RefusedError(status, f"{first.file}: {first.problem}", first.remedy, errors=self.problems)


def admit(uploads: Sequence[Upload], limits: Limits) -> Admitted:
    """Take the sounds of an upload, each with the annotations of the same stem.

    Args:
        uploads: files as they came.
        limits: what is too long or too large.
    """
    admitted = Admitted()
    annotations = {safe_name(each.name): each.content for each in uploads if _is_annotation(each, uploads)}
    for upload in uploads:
        name = safe_name(upload.name)
        if annotations.get(name) is not upload.content:
            _admit_one(name, upload.content, annotations, limits, admitted)
    return admitted


def _admit_one(name: str, content: bytes, annotations: dict[str, bytes], limits: Limits, admitted: Admitted) -> None:
    suffix = sound_suffix(content)
    if suffix is None:
        problem = "is empty (0 bytes)" if not content else f"does not begin as {KNOWN} does"
        return admitted.refuse(name, NOT_SOUND, problem, "Send a sound, such as 16-bit WAV")
    stem = PurePath(name).stem
    beside = {other[len(stem) :]: text for other, text in annotations.items() if _belongs(other, stem)}
    too_long = next((each for each in beside if len(beside[each]) > limits.max_annotation_bytes), None)
    if too_long is not None:
        problem = f"has {len(beside[too_long])} bytes, more than {limits.max_annotation_bytes}"
        return admitted.refuse(stem + too_long, TOO_LARGE, problem, "Divide the recording, or leave the annotation out")
    suffix = ".mp3" if name.lower().endswith(".mp3") else suffix
    sound = Sound(name, content, AudioInfo(1, 1, 1, ""), suffix, beside)
    with as_file(sound) as path:
        try:
            info = read_info(path)
        except AudioError as error:
            return admitted.refuse(name, CANNOT_BE_READ, told_by_name(error.problem, path, sound), error.remedy)
    reason = _too_much(info, limits)
    if reason:
        return admitted.refuse(name, TOO_LARGE, *reason)
    if len(admitted.sounds) >= limits.max_files:
        return admitted.refuse(name, TOO_LARGE, f"is one of more than {limits.max_files} recordings", "Send them apart")
    admitted.sounds.append(Sound(admitted.unused(name), content, info, suffix, beside))
    return None


def sound_suffix(content: bytes) -> str | None:
    """The suffix under which a sound is decoded, `""` if its content says enough; None for what is no sound."""
    for offset, signature, suffix in SIGNATURES:
        if content.startswith(signature, offset):
            return suffix
    is_mpeg = len(content) > 1 and content[0] == 0xFF and content[1] & 0xE6 in (0xE2, 0xE4, 0xE6)
    return ".mp3" if is_mpeg else None


def _too_much(info: AudioInfo, limits: Limits) -> tuple[str, str] | None:
    """The problem and its remedy if a sound would take too long or too much memory; by its header alone."""
    if info.sample_rate > limits.max_sample_rate or info.n_channels > limits.max_channels:
        problem = f"has {info.n_channels} channels at {info.sample_rate} Hz"
        return problem, f"Send at most {limits.max_channels} channels at most at {limits.max_sample_rate} Hz"
    if info.sample_rate * info.n_channels > limits.max_rate:
        problem = f"has {info.n_channels} channels at {info.sample_rate} Hz"
        return problem, f"Send at most {limits.max_rate} samples a second, such as one channel at 48000 Hz"
    if info.duration > limits.max_duration:
        problem = f"lasts {info.duration:.0f} s, more than {limits.max_duration:.0f} s"
        return problem, "Divide it, or use `add4rsc predict`, which has no limit"
    return None


def _is_annotation(upload: Upload, uploads: Sequence[Upload]) -> bool:
    """Whether a file is no sound, and is named as the annotation of one that came with it."""
    if sound_suffix(upload.content) is not None:
        return False
    stems = {PurePath(safe_name(each.name)).stem for each in uploads if each is not upload}
    return any(_belongs(safe_name(upload.name), stem) for stem in stems)


def _belongs(name: str, stem: str) -> bool:
    formats = [annotation_formats.get(each) for each in annotation_formats.names()]
    endings = {ending for each in formats for ending in each.endings}
    return name.startswith(stem) and name[len(stem) :].lower() in endings
