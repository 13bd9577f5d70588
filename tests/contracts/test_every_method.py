"""What every method must hold, whoever adds it; on a small network, with its own options and those of its recipes."""

import json
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from add4rsc.audio.crop import Crop
from add4rsc.backbones import backbones
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.features import prepare_features
from add4rsc.errors import RecipeError
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractMethod, AbstractTwoStageMethod, Batch, Losses, read_options
from add4rsc.terms import CYCLE_CLASSES, GROUPS, N_STETHOSCOPE_CODES, Settings

N_CLASSES = 4
WITHOUT_ADDRESS = {"xiao2024lungadapter"}
"""Papers of which neither DOI nor arXiv number is known."""
N_MELS = backbones.get("small_cnn").front_end().n_bands
AST = {"patch_size": [16, 10], "dim": 32, "n_layers": 2, "n_heads": 4, "n_mels": N_MELS, "n_frames": 60}
"""Options of a small transformer, for methods that need patches."""
N_STEPS = 60
"""In which every method must have learnt 16 cycles by heart."""
SLOW = {"cycle_guardian", "lungrn_nl"}
"""Methods that may take four times as many: features that are all alike until the clustering has drawn them apart; and
mixtures, whose draws leave it to rounding, and so to the processor, how many steps are enough."""


def variants() -> Iterator[tuple[str, dict]]:
    """Every method with every set of options that one of its recipes has, at the size of the small network."""
    for name in methods.names():
        of_recipes = [recipe for recipe in (recipes.get(each)() for each in recipes.names()) if recipe.method == name]
        assert of_recipes, f"{name} has no recipe"
        different = {json.dumps(recipe.options, sort_keys=True): recipe.options for recipe in of_recipes}
        for options in different.values():
            yield name, {key: value for key, value in options.items() if key not in ("input_size", "enlargement")}


every_variant = pytest.mark.parametrize(("name", "options"), list(variants()))


def build(name: str, options: dict, seed: int = 0) -> AbstractMethod:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        kind = methods.get(name)
        is_masked = options.get("stage") == "pretraining"
        backbone = backbones.get("ast")(**AST) if is_masked else backbones.get("small_cnn")()
        return kind.create(backbone, N_MELS, N_CLASSES, read_options(kind, options))


def noise(generator: torch.Generator, n_cycles: int = 4, n_frames: int = 60) -> Batch:
    log_mel = torch.randn(n_cycles, n_frames, N_MELS, generator=generator)
    second = log_mel + 0.1 * torch.randn(n_cycles, n_frames, N_MELS, generator=generator)
    number = torch.arange(n_cycles)
    groups = {name: number // 2 % N_STETHOSCOPE_CODES - (number == 0).long() for name in GROUPS}
    return Batch(log_mel, number % N_CLASSES, second=second, groups=groups, progress=0.3)


def losses_of(network: AbstractMethod, batch: Batch, generator: torch.Generator) -> Losses:
    """The terms of a step; of a method of two stages those of both."""
    losses = network.losses(batch, generator)
    if isinstance(network, AbstractTwoStageMethod):
        losses |= network.head().losses(network.features(batch.log_mel).detach(), batch.labels)
    return losses


def step(network: AbstractMethod, optimiser: torch.optim.Optimizer, batch: Batch, seed: int) -> float:
    optimiser.zero_grad()
    losses = losses_of(network, batch, torch.Generator().manual_seed(seed))
    total = torch.stack(list(losses.values())).sum(dim=0).mean()
    total.backward()
    optimiser.step()
    return total.item()


@every_variant
def test_gives_finite_logits_of_every_class(name, options, generator):
    network = build(name, options)
    for n_cycles, n_frames in ((1, 60), (3, 61), (4, 100)):
        logits = network(noise(generator, n_cycles, n_frames).log_mel)
        assert logits.shape == (n_cycles, N_CLASSES)
        assert logits.isfinite().all()


@every_variant
def test_losses_are_named_and_one_a_cycle(name, options, generator):
    network, batch = build(name, options), noise(generator)
    losses = losses_of(network, batch, generator)
    assert "classification" in losses
    for term in losses.values():
        assert term.shape == (4,)
        assert term.isfinite().all()
        assert term.requires_grad


@every_variant
def test_losses_do_without_groups_and_without_a_second_view(name, options, generator):
    network, batch = build(name, options), noise(generator)
    losses = losses_of(network, Batch(batch.log_mel, batch.labels), generator)
    assert "classification" in losses
    assert all(term.shape == (4,) and term.isfinite().all() for term in losses.values())


@every_variant
def test_every_parameter_learns_within_three_steps(name, options, generator):
    """Branches that start at 0 hand on a gradient only when they have left it; frozen parameters are excepted."""
    network = build(name, options).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    learnt: set[str] = set()
    for seed in range(3):
        step(network, optimiser, noise(generator, 8), seed)
        learnt |= {key for key, value in network.named_parameters() if value.grad is not None and value.grad.any()}
    assert learnt
    assert {key for key, value in network.named_parameters() if value.requires_grad} - learnt == set()


@every_variant
def test_same_seed_gives_same_weights_after_two_steps(name, options):
    def trained(seed: int) -> dict[str, Tensor]:
        network = build(name, options, seed).train()
        optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
        generator = torch.Generator().manual_seed(1)
        with torch.random.fork_rng():
            torch.manual_seed(2)
            for each in range(2):
                step(network, optimiser, noise(generator), each)
        return network.state_dict()

    one, two, other = trained(0), trained(0), trained(1)
    assert all(one[key].equal(two[key]) for key in one)
    assert not all(one[key].equal(other[key]) for key in one)


@every_variant
def test_a_cycle_does_not_see_its_neighbours_in_evaluation(name, options, generator):
    network, log_mel = build(name, options).eval(), noise(generator).log_mel
    with torch.no_grad():
        logits, turned, alone = network(log_mel), network(log_mel.flip(0)), network(log_mel[1:2])
    torch.testing.assert_close(logits, turned.flip(0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits[1:2], alone, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(logits[0], logits[1])


@every_variant
def test_state_makes_an_equal_network(name, options, generator):
    network, other = build(name, options).eval(), build(name, options, seed=1).eval()
    log_mel = noise(generator).log_mel
    with torch.no_grad():
        assert not torch.equal(network(log_mel), other(log_mel))
        other.load_state_dict(network.state_dict())
        assert torch.equal(network(log_mel), other(log_mel))


@pytest.fixture(scope="module")
def sixteen(made_corpus, tmp_path_factory) -> Batch:
    """Four made cycles of every class."""
    cycles = open_dataset(made_corpus).cycles()
    chosen = [cycle for name in CYCLE_CLASSES for cycle in [each for each in cycles if each.annotation == name][:4]]
    front_end = backbones.get("small_cnn").front_end()
    store = prepare_features(chosen, Crop(duration=1.5), front_end, tmp_path_factory.mktemp("sixteen"))
    log_mel = torch.stack([torch.from_numpy(store.features(index)) for index in range(16)])
    return Batch(log_mel, torch.arange(4).repeat_interleave(4))


def learns_by_heart(network: AbstractMethod, batch: Batch, n_steps: int) -> bool:
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for seed in range(n_steps):
            step(network.train(), optimiser, batch, seed)
            with torch.no_grad():
                if seed % 5 == 4 and network.eval()(batch.log_mel).argmax(dim=1).equal(batch.labels):
                    return True
    return False


@pytest.mark.parametrize("name", methods.names())
def test_learns_sixteen_cycles_by_heart(name, sixteen):
    network = build(name, {})
    is_frozen = not all(value.requires_grad for value in network.parameters())  # at random values, here
    assert learns_by_heart(network, sixteen, 4 * N_STEPS if is_frozen or name in SLOW else N_STEPS)


@pytest.mark.slow
@every_variant
def test_learns_sixteen_cycles_by_heart_with_the_options_of_every_recipe(name, options, sixteen):
    assert learns_by_heart(build(name, options), sixteen, 4 * N_STEPS)


@pytest.mark.parametrize("name", methods.names())
def test_options_have_defaults_and_refuse_what_they_do_not_know(name):
    kind = methods.get(name)
    assert isinstance(kind.Options(), Settings)
    with pytest.raises(RecipeError, match=r"no recipe key 'options.no_such_option'"):
        read_options(kind, {"no_such_option": 1})


@pytest.mark.parametrize("name", methods.names())
def test_paper_can_be_cited(name):
    paper = methods.get(name).paper
    entry = paper.bibtex()
    assert entry.startswith(f"@inproceedings{{{paper.key},\n")
    assert entry.count("{") == entry.count("}")
    assert paper.title in entry
    assert 2000 < paper.year < 2100
    assert paper.doi or paper.arxiv or paper.key in WITHOUT_ADDRESS
