"""What is known of a recording in one sentence, and the sentence as tokens.

There are few enough sentences to number them all, so that a network can keep the tokens of each.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from add4rsc.backbones.weights import weights_folder
from add4rsc.errors import CheckpointError, MissingExtraError, RecipeError
from add4rsc.protocol.groups import NAMES

MetadataField = Literal["age_group", "sex", "chest_location", "stethoscope"]

FIELDS: tuple[MetadataField, ...] = ("age_group", "sex", "chest_location", "stethoscope")
"""What a sentence may name, in the order of its words."""

WORDS: Mapping[str, Mapping[str, str]] = {
    "age_group": {"adult": "adult", "child": "pediatric"},
    "sex": {"f": "female", "m": "male"},
    "chest_location": {
        "Tc": "trachea",
        "Al": "left anterior chest",
        "Ar": "right anterior chest",
        "Pl": "left posterior chest",
        "Pr": "right posterior chest",
        "Ll": "left lateral chest",
        "Lr": "right lateral chest",
        "p1": "left posterior chest",
        "p2": "left lateral chest",
        "p3": "right posterior chest",
        "p4": "right lateral chest",
    },
    "stethoscope": {
        "AKGC417L": "an AKG C417L microphone",
        "LittC2SE": "a Littmann Classic II SE stethoscope",
        "Litt3200": "a Littmann 3200 electronic stethoscope",
        "Meditron": "a Welch Allyn Meditron electronic stethoscope",
        "Yunting II": "a Yunting II electronic stethoscope",
    },
}
"""What the names of groups are called in a sentence."""

N_VALUES = {name: 1 + len(NAMES[name]) for name in FIELDS}
"""Values of each field; the first is that it is not known."""

N_SENTENCES = prod(N_VALUES.values())
NOTHING_KNOWN = 0
"""Number of the sentence that names no field."""

BEGIN, PADDING, END = 0, 1, 2
"""Tokens around a sentence, as in RoBERTa."""


def sentence(known: Mapping[str, str]) -> str:
    """What is known of a recording, by the names of the groups, in words.

    >>> sentence({"sex": "f", "age_group": "adult", "chest_location": "Tc"})
    'Breath sounds of an adult female patient, heard at the trachea.'
    >>> sentence({"stethoscope": "AKGC417L"})
    'Breath sounds of a patient, heard through an AKG C417L microphone.'
    >>> sentence({})
    'Breath sounds of a patient.'
    """
    words = {name: WORDS[name].get(value, "") for name, value in known.items()}
    who = [words[name] for name in ("age_group", "sex") if words.get(name)]
    article = "an" if who and who[0].startswith("a") else "a"
    place = f" at the {words['chest_location']}" if words.get("chest_location") else ""
    device = f" through {words['stethoscope']}" if words.get("stethoscope") else ""
    heard = f", heard{place}{device}" if place or device else ""
    return f"Breath sounds of {' '.join([article, *who, 'patient'])}{heard}."


def all_sentences() -> list[str]:
    """Every sentence at its number."""
    values = product(*(("", *NAMES[name]) for name in FIELDS))
    return [sentence(dict(zip(FIELDS, each, strict=True))) for each in values]


def sentence_numbers(codes: Mapping[str, Int[Tensor, " batch"]]) -> Int[Tensor, " batch"]:
    """Which sentence says what the codes of all fields say; a code without a name says nothing."""
    parts = []
    for place, name in enumerate(FIELDS):
        code = codes[name]
        is_named = (code >= 0) & (code < len(NAMES[name]))
        stride = prod(N_VALUES[later] for later in FIELDS[place + 1 :])
        parts.append(torch.where(is_named, code + 1, 0) * stride)
    return torch.stack(parts).sum(dim=0)


def vocabulary() -> dict[str, int]:
    """Every word of every sentence, numbered behind the tokens around a sentence."""
    words = sorted({word for each in all_sentences() for word in _split(each)})
    return {word: END + 1 + place for place, word in enumerate(words)}


def _split(text: str) -> list[str]:
    return text.lower().replace(",", "").rstrip(".").split()


def word_tokens(n_tokens: int | None = None) -> Int[Tensor, "sentence token"]:
    """Every sentence as numbers of its words, filled up to so many tokens; None is as many as the longest has."""
    numbers = vocabulary()
    rows = [[BEGIN, *(numbers[word] for word in _split(each)), END] for each in all_sentences()]
    return _fill(rows, n_tokens or max(map(len, rows)), PADDING)


def published_tokens(folder: str, n_tokens: int, n_words: int, padding: int) -> Int[Tensor, "sentence token"]:
    """Every sentence as tokens of a published tokenizer.

    Args:
        folder: where its files are, or the name of a folder among the pretrained weights.
        n_tokens: to which shorter sentences are filled up.
        n_words: of the text tower that is to read them.
        padding: the tower's token for that.

    Raises:
        MissingExtraError: if transformers is not installed.
        CheckpointError: if the folder is missing or holds no tokenizer.
        RecipeError: if the tokens are not those of the text tower.
    """
    rows = _tokenise(_find(folder), all_sentences())
    longest, largest = max(map(len, rows)), max(map(max, rows))
    if longest > n_tokens:
        raise RecipeError(f"Sentences of {longest} tokens by {folder} exceed {n_tokens}. Use another tokenizer.")
    if largest >= n_words:
        raise RecipeError(
            f"Tokens of {folder} go up to {largest}, but the text tower knows {n_words}. Use the tokenizer that it was "
            "trained with, or --set options.tokenizer=null for words of our own."
        )
    return _fill(rows, n_tokens, padding)


def _find(folder: str) -> Path:
    places = (Path(folder), weights_folder() / folder)
    for place in places:
        if place.is_dir():
            return place
    raise CheckpointError(
        f"The tokenizer of the text tower is neither in {places[0]} nor in {places[1]}. Put tokenizer.json and "
        "tokenizer_config.json of https://huggingface.co/laion/clap-htsat-unfused there, or say where they are: "
        "--set options.tokenizer=FOLDER."
    )


def _tokenise(folder: Path, sentences: Sequence[str]) -> list[list[int]]:
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("CLAP's tokenizer", "hf") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return tokenizer(list(sentences))["input_ids"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder} holds no tokenizer that can be read ({(str(error).splitlines() or [''])[0]}). "
            "Get its files again from https://huggingface.co/laion/clap-htsat-unfused."
        ) from error


def _fill(rows: Sequence[Sequence[int]], n_tokens: int, padding: int) -> Int[Tensor, "sentence token"]:
    return torch.tensor([[*row, *[padding] * (n_tokens - len(row))] for row in rows])
