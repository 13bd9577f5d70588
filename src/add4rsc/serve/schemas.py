"""What requests and answers look like, for the OpenAPI document; examples are of a made recording."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from add4rsc.terms import RESEARCH_USE_ONLY

PROBLEM_TYPE = "application/problem+json"


class FileError(BaseModel):
    """A file that was not taken, or could not be judged."""

    file: str = Field(examples=["breath.wav"])
    problem: str = Field(examples=["is not a sound file that can be read"])
    remedy: str = Field(examples=["Copy the file again from its source, or leave it out"])


class Problem(BaseModel):
    """Why a request was not served, and what to do (RFC 9457)."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str
    problem: str = Field(examples=["There is no such recording"])
    remedy: str = Field(examples=["It was deleted, or has expired; upload the sound again"])
    errors: list[FileError] | None = None


class Health(BaseModel):
    """Whether the server is up, and its limits."""

    status: str = Field(examples=["ok"])
    version: str
    notice: str = Field(examples=[RESEARCH_USE_ONLY])
    token_required: bool
    model: str = Field(examples=["fine_tuning/mn04"])
    n_waiting: int
    n_running: int
    limits: dict[str, float]


class ModelFacts(BaseModel):
    """One model. `thresholds`: the probability from which a class is decided; `duration` of its input in seconds."""

    name: str = Field(examples=["fine_tuning/mn04"])
    default: bool
    classes: list[str] = Field(examples=[["normal", "crackle", "wheeze", "both"]])
    words: dict[str, str] = Field(examples=[{"crackle": "crackle-like sound", "abstain": "not sure"}])
    sample_rate: int
    duration: float
    temperature: float
    thresholds: dict[str, float]
    notes: dict[str, str]


class Models(BaseModel):
    """The models that are served, and every word that they may use."""

    notice: str
    models: list[ModelFacts]
    quality_flags: dict[str, str]
    formats: dict[str, str]
    cycles: list[str]
    views: dict[str, bool]


class Cycle(BaseModel):
    """One stretch of a recording; times in seconds. `probabilities` is null where nothing was judged."""

    start: float
    end: float
    decision: str = Field(examples=["crackle"])
    heard: str = Field(examples=["crackle-like sound"])
    abstain: bool
    probabilities: dict[str, float] | None = Field(examples=[{"normal": 0.1, "crackle": 0.8, "wheeze": 0.1}])
    quality: list[str] = Field(examples=[["band_limited"]])


class RecordingResult(BaseModel):
    """One recording as in `predict --format json`; `n_CLASS` counts cycles, `p_CLASS` averages probabilities."""

    model_config = ConfigDict(extra="allow")
    file: str
    patient: str
    cycles_from: str = Field(examples=["envelope"])
    duration: float
    sample_rate: int
    n_cycles: int
    n_judged: int
    n_abstained: int
    highest_p_abnormal: float | None
    decision: str
    heard: str
    abstain: bool
    quality: list[str]
    cycles: list[Cycle]


class Predictions(BaseModel):
    """The file that `add4rsc predict --format json` writes."""

    schema_: str = Field(alias="schema", examples=["add4rsc-predictions/1"])
    notice: str
    model: dict[str, str]
    classes: list[str]
    errors: list[FileError]
    recordings: list[RecordingResult]


class Share(BaseModel):
    """How far a job is; `share` is an estimate until it is done."""

    share: float
    n_judged: int


class RecordingFacts(BaseModel):
    """A recording that is held, and its result once there is one."""

    id: str
    file: str
    patient: str
    chest_location: str
    chest_location_words: str
    duration: float
    sample_rate: int
    n_channels: int
    encoding: str
    size: int
    expires_in: float
    status: str = Field(examples=["done"])
    progress: Share
    n_ahead: int
    problem: FileError | None
    result: RecordingResult | None
    links: dict[str, str]


class Uploaded(BaseModel):
    """The recordings that were taken, and the files that were not."""

    notice: str
    recordings: list[RecordingFacts]
    errors: list[FileError]


class JobFacts(BaseModel):
    """A job, until its result is fetched."""

    id: str
    status: str = Field(examples=["running"])
    progress: Share
    n_ahead: int
    expires_in: float
    problem: FileError | None
    links: dict[str, str]


class Outline(BaseModel):
    """Lowest and highest sample of equal parts, in [-1, 1]."""

    start: float
    end: float
    duration: float
    buckets: int
    min: list[float]
    max: list[float]


class Spectrogram(BaseModel):
    """A mel spectrogram: `data` is base64 of `n_frames * n_mels` bytes, frame after frame, the lowest band first."""

    start: float
    end: float
    n_frames: int
    n_mels: int
    hertz: list[float]
    max_hertz: float
    range_db: float
    data: str


class Explanation(Spectrogram):
    """Weights in the places of a mel spectrogram: `data` is 255 where the probability falls most, by `largest`."""

    largest: float
    method: str
    caption: str


class DenoisedView(BaseModel):
    """Mel frames as base64 of `n_frames * n_mels` bytes: before and after the filter, and its gain (255 is 1)."""

    start: float
    end: float
    n_frames: int
    n_mels: int
    hertz: list[float]
    first_time: float
    frame_shift: float
    range_db: float
    before: str
    after: str
    gain: str
    note: str


class ExampleFacts(BaseModel):
    """A made recording."""

    name: str
    file: str
    duration: float


class Examples(BaseModel):
    """Made recordings to try."""

    examples: list[ExampleFacts]


class Credentials(BaseModel):
    """What a page sends once."""

    model_config = ConfigDict(extra="forbid")
    token: str = Field(max_length=1000)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an operation may answer instead, for the document; 401 and 403 go without saying."""
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": "See `problem` and `remedy`", "content": content} for status in (*statuses, "4XX")}


def content_of(*media_types: str, binary: bool = True) -> dict[str, Any]:
    """A body in one of some types, for the document."""
    schema = {"type": "string", "format": "binary"} if binary else {"type": "string"}
    return {kind: {"schema": schema} for kind in media_types}


SOUND_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One sound as the body, or one or many as parts of a form that have a file's name; an "
        "annotation that `predict` would find beside a sound may be another part.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                    "required": ["file"],
                }
            },
            "audio/*": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
"""The body of an upload, which the operations read themselves."""
