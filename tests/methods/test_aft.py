"""Adversarial fine-tuning against explicit means over real and generated cycles."""

import math
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.audio.frontend import FrontEnd
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.methods import recipes
from add4rsc.methods._base import Batch, TrainingCycles
from add4rsc.methods.aft import AdversarialFineTuning, Generated

SIZES = {"generator_width": 8, "generator_layers": 2, "diffusion_steps": 10, "generator_steps": 2, "sampling_steps": 2}
LABELS = torch.tensor([0] * 7 + [1] * 3 + [3] * 1)
"""Class 2 has none; filled to 5, classes 1 and 3 lack 2 and 4."""


class Means(AbstractBackbone):
    """Means of the bands, mixed."""

    n_features = 3
    front_end = staticmethod(FrontEnd)

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(3, 3)

    def forward(self, log_mel):
        return self.mix(log_mel.mean(dim=1))


def built(**options) -> AdversarialFineTuning:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AdversarialFineTuning(Means(), 3, 4, AdversarialFineTuning.Options(**(SIZES | {"fill_to": 5} | options)))


def cycles() -> TrainingCycles:
    log_mel = torch.randn(len(LABELS), 6, 3, generator=torch.Generator().manual_seed(2))
    return TrainingCycles(LABELS, {}, lambda chosen: log_mel[list(chosen)])


def prepared(**options) -> AdversarialFineTuning:
    method = built(**options)
    method.prepare(cycles(), torch.Generator().manual_seed(3))
    return method


def batch(n_cycles: int = 11, progress: float = 0.1) -> Batch:
    log_mel = torch.randn(n_cycles, 6, 3, generator=torch.Generator().manual_seed(4))
    return Batch(log_mel, LABELS[:n_cycles], progress=progress)


def test_missing_is_what_a_count_by_hand_gives():
    method = prepared()
    assert method.missing.tolist() == [0, 2, 0, 4]
    assert int(method.n_real) == 11
    generated = method.generated(6)
    assert generated.labels.tolist() == [1, 1, 3, 3, 3, 3]
    assert generated.frames.shape == (6, 6, 3)
    assert generated.frames.dtype == torch.half
    assert not any(weight.requires_grad for weight in method.diffusion.parameters())
    other = prepared(fill_to=2)
    assert other.missing.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("n_cycles", [11, 4])
def test_generated_cycles_are_seen_once_an_epoch(n_cycles):
    seen, draws = [], torch.Generator().manual_seed(0)
    generated = Generated(torch.zeros(6, 1, 1).half(), torch.zeros(6, dtype=torch.long), 11)
    for _ in range(3000):
        chosen = generated.draw(n_cycles, draws).tolist()
        assert len(set(chosen)) == len(chosen)
        assert len(chosen) in {math.floor(6 * n_cycles / 11), math.ceil(6 * n_cycles / 11)}
        seen += chosen
    n_epochs = 3000 * n_cycles / 11
    assert [seen.count(index) / n_epochs for index in range(6)] == pytest.approx([1] * 6, abs=0.08)


def united(method: AdversarialFineTuning, given: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """The batch and all generated cycles (of which each joins a batch of all real ones), their classes, which is so."""
    generated = method.generated(6)
    log_mel = torch.cat([given.log_mel, generated.frames.float()])
    is_generated = torch.tensor([0] * len(given.labels) + [1] * len(generated.labels))
    return log_mel, torch.cat([given.labels, generated.labels]), is_generated


def test_mean_is_that_of_real_and_generated_cycles(generator):
    method, given = prepared(domain=0.7), batch()
    losses = method.losses(given, generator)
    log_mel, labels, is_generated = united(method, given)
    assert len(labels) == 17
    torch.testing.assert_close(losses["classification"].mean(), functional.cross_entropy(method(log_mel), labels))
    logits = method.domain_head(method.backbone(log_mel))
    torch.testing.assert_close(losses["domain"].mean(), 0.7 * functional.cross_entropy(logits, is_generated))
    own = functional.cross_entropy(method(given.log_mel), given.labels, reduction="none")
    torch.testing.assert_close(losses["classification"].diff(), own.diff() * 11 / 17, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("strength", "factor"), [("schedule", 0.4621172), ("full", 1.0)])
def test_backbone_climbs_where_the_domain_head_descends(strength, factor, generator):
    method, given = prepared(strength=strength), batch()
    log_mel, _, is_generated = united(method, given)
    method.losses(given, generator)["domain"].mean().backward()
    found = {name: weight.grad for name, weight in method.named_parameters()}
    loss = 0.2 * functional.cross_entropy(method.domain_head(method.backbone(log_mel)), is_generated)
    weights = {name: weight for name, weight in method.named_parameters() if name.startswith(("backbone", "domain"))}
    for name, gradient in zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True):
        expected = -factor * gradient if name.startswith("backbone") else gradient
        assert gradient.any()
        torch.testing.assert_close(found[name], expected, atol=1e-5, rtol=1e-3)
    assert all(found[name] is None for name in found if name.startswith("diffusion"))


def test_resumed_run_generates_the_same_cycles(generator):
    method = prepared()
    other = built()
    other.losses(batch(), generator)
    other.load_state_dict(method.state_dict())
    first, again = method.generated(6), other.generated(6)
    assert torch.equal(first.frames, again.frames)
    assert first.frames.float().std() > 0.1
    assert first.labels.equal(again.labels)
    assert not any("_generated" in name for name in method.state_dict())
    with torch.no_grad():
        for value in method.state_dict().values():  # as half steps do
            value.copy_(0.5 * value + 0.5 * value)
    other.load_state_dict(method.state_dict())
    assert torch.equal(first.frames, other.generated(6).frames)


def test_nothing_is_drawn_from_the_global_generator():
    state = torch.random.get_rng_state()
    one, two = prepared(), prepared()
    values = [each.losses(batch(5), torch.Generator().manual_seed(1)) for each in (one, two)]
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(values[0][name].equal(values[1][name]) for name in values[0])


@pytest.mark.parametrize("options", [{"fill_to": 0}, {"fill_to": 1}])
def test_where_no_class_is_short_it_is_plain_fine_tuning(options, generator):
    method = prepared(**options)
    before = {name: value.clone() for name, value in built(**options).state_dict().items()}
    after = method.state_dict()
    assert {name for name in before if not before[name].equal(after[name])} <= {"n_real", "seed"}
    losses = method.losses(batch(), generator)
    expected = functional.cross_entropy(method(batch().log_mel), batch().labels, reduction="none")
    torch.testing.assert_close(losses["classification"], expected)
    assert not losses.get("domain", torch.zeros(1)).any()
    sum(losses.values()).sum().backward()
    assert all(weight.grad is not None for weight in method.parameters() if weight.requires_grad)


def test_masks_are_those_of_the_options(generator):
    class Seen(Means):
        def forward(self, log_mel):
            self.seen = log_mel
            return super().forward(log_mel)

    blank = SpectrogramAugmentation(n_time_masks=1, max_time_mask=6, fill="zero")
    method = prepared(augmentation=blank)
    method.backbone = Seen()
    method.losses(batch(), generator)
    blanked = (method.backbone.seen == 0).all(dim=2).any(dim=1)
    assert not blanked[:11].any()
    assert blanked[11:].any()


def test_network_of_the_test_goes_without_the_generator():
    method = prepared()
    expected = method(batch().log_mel)
    method.diffusion = method.domain_head = None
    assert torch.equal(method(batch().log_mel), expected)


def test_recipes_fill_up_to_500_at_5_seconds():
    mended, released = recipes.get("aft/ast")(), recipes.get("aft/ast-as-released")()
    for recipe in (mended, released):
        options = AdversarialFineTuning.Options.model_validate(recipe.options)
        assert (options.fill_to, options.domain) == (500, 0.2)
        assert options.augmentation == recipe.augmentation
        assert recipe.front_end is None
        assert recipe.backbone_options["n_frames"] == 1 + (5 * 16_000 - 400) // 160
    assert (mended.options["strength"], released.options["strength"]) == ("schedule", "full")
    assert released.averaging.kind == "half-step"


WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 3.0, 1.5])

WORKER = """
    import sys, torch, torch.distributed as dist
    from add4rsc.engine.normalisation import share_batch_norm
    from add4rsc.methods._contrast import gather_cycles

    rank, folder = int(sys.argv[1]), sys.argv[2]
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    method, shares, weights = torch.load(f"{folder}/given.pt", weights_only=False)
    share_batch_norm(method)
    terms = method.losses(shares[rank], torch.Generator().manual_seed(11))
    sum((term * weights[rank::2] * 2 / weights.sum()).sum() for term in terms.values()).backward()
    gradients = {}
    for name, weight in method.named_parameters():
        if weight.grad is not None:
            dist.all_reduce(weight.grad)
            gradients[name] = weight.grad / 2
    terms = {name: gather_cycles(term.detach()) for name, term in terms.items()}
    if rank == 0:
        torch.save((terms, gradients), f"{folder}/found.pt")
    dist.destroy_process_group()
"""


def test_two_processes_give_the_loss_and_the_gradient_of_one(tmp_path: Path):
    masks = SpectrogramAugmentation(n_time_masks=1, max_time_mask=30)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = AdversarialFineTuning.Options(**SIZES, fill_to=5, augmentation=masks)
        method = AdversarialFineTuning(backbones.get("small_cnn")(), 64, 4, options)
    log_mel = torch.randn(len(LABELS), 64, 64, generator=torch.Generator().manual_seed(2))
    method.prepare(TrainingCycles(LABELS, {}, lambda chosen: log_mel[list(chosen)]), torch.Generator())
    given = Batch(log_mel[5:10], LABELS[5:10], progress=0.1)
    shares = [Batch(given.log_mel[rank::2], given.labels[rank::2], progress=0.1) for rank in range(2)]
    torch.save((method, shares, WEIGHTS), tmp_path / "given.pt")
    (tmp_path / "worker.py").write_text(textwrap.dedent(WORKER))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen([sys.executable, tmp_path / "worker.py", str(rank), tmp_path], env=environment)
        for rank in range(2)
    ]
    assert [process.wait(timeout=200) for process in started] == [0, 0]
    terms, gradients = torch.load(tmp_path / "found.pt")
    expected = method.losses(given, torch.Generator().manual_seed(11))
    sum((term * WEIGHTS / WEIGHTS.sum()).sum() for term in expected.values()).backward()
    for name, term in expected.items():
        torch.testing.assert_close(terms[name], term.detach(), atol=1e-5, rtol=1e-4)
    assert gradients
    for name, weight in method.named_parameters():
        if weight.grad is not None:
            difference = (gradients[name] - weight.grad).norm().item()
            assert difference <= 1e-3 * weight.grad.norm().item() + 1e-3, name
