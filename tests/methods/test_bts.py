"""BTS: sentences and their tokens, the two towers under one layer, and runs that are told what is known or nothing."""

import json

import pandas as pd
import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from typer.testing import CliRunner

from add4rsc.backbones import backbones
from add4rsc.backbones.clap import Clap
from add4rsc.cli import testing
from add4rsc.cli._app import app
from add4rsc.engine.loading import load_run
from add4rsc.engine.run import RunSettings, train
from add4rsc.engine.testing import predict_test_subset
from add4rsc.errors import CheckpointError, RecipeError, WrongUsageError
from add4rsc.methods import recipes
from add4rsc.methods._base import Batch, TrainingCycles
from add4rsc.methods._metadata_text import (
    FIELDS,
    N_SENTENCES,
    NOTHING_KNOWN,
    WORDS,
    all_sentences,
    sentence,
    sentence_numbers,
    vocabulary,
    word_tokens,
)
from add4rsc.methods.bts import BridgingTextAndSound
from add4rsc.protocol.groups import NAMES
from add4rsc.recipe import change_recipe


def build(backbone=None, **options) -> BridgingTextAndSound:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = backbone or Clap(**{**Clap.tiny, "text": True})
        return BridgingTextAndSound.create(backbone, 64, 4, BridgingTextAndSound.Options(**options)).eval()


def batch(generator: torch.Generator, **groups: list[int]) -> Batch:
    codes = {name: torch.tensor(values) for name, values in groups.items()}
    return Batch(torch.randn(4, 80, 64, generator=generator), torch.tensor([0, 1, 2, 3]), groups=codes)


KNOWN = {
    "age_group": [0, 1, -1, 0],
    "sex": [1, -1, -1, 0],
    "chest_location": [2, 8, -1, 0],
    "stethoscope": [3, 4, -1, 7],
}


def codes_of_names(**known: str) -> dict[str, torch.Tensor]:
    return {name: torch.tensor([NAMES[name].index(known[name]) if name in known else -1]) for name in FIELDS}


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"sex": "m"},
        {"age_group": "child", "chest_location": "p2"},
        {"age_group": "adult", "sex": "f", "chest_location": "Tc", "stethoscope": "LittC2SE"},
    ],
)
def test_codes_find_the_sentence_that_says_them(known):
    number = sentence_numbers(codes_of_names(**known)).item()
    text = all_sentences()[number]
    assert text == sentence(known)
    for name, value in known.items():
        assert WORDS[name][value] in text
    unsaid = {word for name in set(FIELDS) - set(known) for word in WORDS[name].values()}
    assert not any(f" {word}" in text for word in unsaid)
    assert (number == NOTHING_KNOWN) == (not known)


def test_every_name_has_words_and_names_without_any_say_nothing():
    assert all(set(WORDS[name]) == set(NAMES[name]) for name in FIELDS)
    assert len(all_sentences()) == N_SENTENCES
    spare = {name: torch.tensor([99]) for name in FIELDS}
    assert sentence_numbers(spare).item() == NOTHING_KNOWN


def test_words_come_back_from_their_tokens():
    words = {number: word for word, number in vocabulary().items()}
    tokens = word_tokens(40)
    assert tokens.shape == (N_SENTENCES, 40)
    for row, text in list(zip(tokens.tolist(), all_sentences(), strict=True))[::37]:
        inner = row[1 : row.index(2)]
        assert row[0] == 0
        assert set(row[len(inner) + 2 :]) <= {1}
        assert " ".join(words[number] for number in inner) == text.lower().replace(",", "").rstrip(".")


def test_head_is_one_layer_on_both_towers(generator):
    method, given = build(), batch(generator, **KNOWN)
    texts = [
        sentence({"age_group": "adult", "sex": "m", "chest_location": "Ar", "stethoscope": "Meditron"}),
        sentence({"age_group": "child", "chest_location": "p2", "stethoscope": "Yunting II"}),
        sentence({}),
        sentence({"age_group": "adult", "sex": "f", "chest_location": "Tc"}),
    ]
    numbers = vocabulary()
    with torch.no_grad():
        rows = []
        for text, frames in zip(texts, given.log_mel, strict=True):
            tokens = torch.tensor([[0, *(numbers[word.strip(",.").lower()] for word in text.split()), 2]])
            features = torch.cat([method.backbone(frames[None]), method.text_tower(tokens)], dim=1)
            rows.append(features @ method.head.weight.T + method.head.bias)
        expected = torch.cat(rows)
        torch.testing.assert_close(method(given.log_mel, given.groups), expected, atol=1e-5, rtol=1e-5)
        terms = method.losses(given, generator)["classification"]
        torch.testing.assert_close(terms, -expected.log_softmax(dim=1).diagonal(), atol=1e-5, rtol=1e-5)


def test_gradients_reach_both_towers(generator):
    method = build().train()
    method.losses(batch(generator, **KNOWN), generator)["classification"].sum().backward()
    for tower in (method.backbone.audio, method.text_tower):
        assert all(weight.grad is not None and weight.grad.any() for weight in tower.parameters())


def test_nothing_known_is_the_neutral_sentence_and_differs_from_what_is_known(generator):
    method, given = build(), batch(generator, **KNOWN)
    with torch.no_grad():
        without, told = method(given.log_mel), method(given.log_mel, given.groups)
        unknown = {name: torch.full((4,), -1) for name in FIELDS}
        torch.testing.assert_close(method(given.log_mel, unknown), without)
        torch.testing.assert_close(method(given.log_mel, {}), without)
    differs = (told - without).abs().amax(dim=1) > 1e-6
    assert differs.tolist() == [True, True, False, True]


def test_fields_left_out_of_the_options_change_nothing(generator):
    given = batch(generator, **KNOWN)
    hidden = {name: codes for name, codes in given.groups.items() if name != "stethoscope"}
    method, without = build(), build(fields=["age_group", "sex", "chest_location"])
    with torch.no_grad():
        assert torch.equal(without(given.log_mel, given.groups), method(given.log_mel, hidden))


def test_dropped_fields_are_so_many_and_each_by_itself(generator):
    method = build(drop_fields=0.25)
    codes = {name: torch.zeros(4000, dtype=torch.long) for name in FIELDS}
    dropped = torch.stack([value < 0 for value in method._drop(codes, generator).values()]).double()
    assert dropped.mean(dim=1).tolist() == pytest.approx([0.25] * 4, abs=0.03)
    assert torch.corrcoef(dropped).fill_diagonal_(0).abs().max() < 0.06
    given = batch(generator, **KNOWN)
    with torch.no_grad():
        always = build(drop_fields=1.0).losses(given, generator)["classification"]
        expected = build().losses(Batch(given.log_mel, given.labels), generator)["classification"]
    torch.testing.assert_close(always, expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_exported_program_takes_any_number_of_cycles(generator):
    method = build(backbones.get("small_cnn")())
    log_mel = torch.randn(5, 80, 64, generator=generator)
    with torch.no_grad():
        program = torch.export.export(method, (log_mel[:2],), dynamic_shapes=({0: torch.export.Dim("batch")},))
        torch.testing.assert_close(program.module()(log_mel), method(log_mel))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A tokenizer of RoBERTa's kind that has learnt our sentences."""
    folder = tmp_path_factory.mktemp("tokenizer")
    learnt = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    learnt.train_from_iterator(all_sentences(), vocab_size=400, special_tokens=special, show_progress=False)
    learnt.save_model(str(folder))
    settings = {"tokenizer_class": "RobertaTokenizer", "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder, learnt


def tower(n_words: int) -> Clap:
    text = {**Clap.tiny["text_options"], "vocab_size": n_words}
    return Clap(**{**Clap.tiny, "text": True, "text_options": text})


NO_CYCLES = TrainingCycles(torch.zeros(0, dtype=torch.long), {}, lambda indices: torch.zeros(0, 1, 64))


def test_published_tokens_are_kept_with_the_network(tokenizer, generator, tmp_path):
    folder, learnt = tokenizer
    method = build(tower(500), tokenizer=str(folder))
    method.prepare(NO_CYCLES, generator)
    for row, text in list(zip(method.tokens.tolist(), all_sentences(), strict=True))[::31]:
        inner = learnt.encode(text).ids
        assert row == [0, *inner, 2] + [1] * (len(row) - len(inner) - 2)
    again = build(tower(500), tokenizer="no such folder")
    again.load_state_dict(method.state_dict())
    given = batch(generator, **KNOWN)
    with torch.no_grad():
        assert torch.equal(again(given.log_mel, given.groups), method(given.log_mel, given.groups))


def test_wrong_tokenizers_are_refused(tokenizer, generator, tmp_path):
    with pytest.raises(CheckpointError, match=r"options\.tokenizer=FOLDER"):
        build(tower(500), tokenizer="no such folder").prepare(NO_CYCLES, generator)
    with pytest.raises(CheckpointError, match="holds no tokenizer"):
        build(tower(500), tokenizer=str(tmp_path)).prepare(NO_CYCLES, generator)
    with pytest.raises(RecipeError, match="text tower knows 96"):
        build(tokenizer=str(tokenizer[0])).prepare(NO_CYCLES, generator)


TINY_RUN = {
    "precision": "32-true",
    "epochs": 1,
    "split": "patient-folds-3/1",
    "selection": "last",
    "validation_share": 0.0,
    "batch_size": 4,
}


@pytest.fixture(scope="module")
def run(made_corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    recipe = change_recipe(recipes.get("bts/clap-small")(), {**TINY_RUN, "backbone_options": dict(Clap.tiny)})
    train(recipe, [1], RunSettings(made_corpus, folder, show_progress=False))
    return folder


def chances(table: pd.DataFrame) -> pd.DataFrame:
    return table[["cycle_id", *(name for name in table if name.startswith("p_"))]]


def test_loaded_run_is_told_what_the_trained_one_was_told(run, made_corpus):
    own, loaded = pd.read_csv(run / "predictions.csv"), load_run(run)
    again = predict_test_subset(loaded, made_corpus).table
    pd.testing.assert_frame_equal(chances(own), chances(again), atol=2e-6)
    without = predict_test_subset(loaded, made_corpus, hidden=("stethoscope",)).table
    assert not chances(own).equals(chances(without))


def test_command_tests_without_metadata(run, made_corpus):
    assert testing.predict_and_score
    call = ["test", str(run), "--data-folder", str(made_corpus), "--json"]
    result = CliRunner().invoke(app, [*call, "--without-metadata"])
    assert result.exit_code == 0, result.output
    written = pd.read_csv(run / "tested-on-patient-folds-3-1-without-metadata" / "predictions.csv")
    own = pd.read_csv(run / "predictions.csv")
    assert not chances(own)["p_normal"].sub(chances(written)["p_normal"]).abs().lt(1e-6).all()
    assert isinstance(CliRunner().invoke(app, [*call, "--hide", "colour"]).exception, WrongUsageError)


def test_nothing_is_hidden_from_a_network_that_is_told_nothing(made_corpus, tmp_path):
    recipe = change_recipe(recipes.get("fine_tuning/small_cnn")(), TINY_RUN)
    train(recipe, [1], RunSettings(made_corpus, tmp_path, show_progress=False))
    with pytest.raises(WrongUsageError, match="nothing but the sound"):
        predict_test_subset(load_run(tmp_path), made_corpus, hidden=("sex",))


def test_another_backbone_gets_a_small_text_tower(generator):
    method, given = build(backbones.get("small_cnn")()), batch(generator, **KNOWN)
    with torch.no_grad():
        assert not torch.equal(method(given.log_mel), method(given.log_mel, given.groups))
    assert method.text_tower.n_words == len(vocabulary()) + 3
