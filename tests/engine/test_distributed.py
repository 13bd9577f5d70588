"""Two processes against one, with the same batches."""

import pandas as pd
import pytest
import torch
import torch.distributed
from torch import nn
from torch.multiprocessing.spawn import ProcessRaisedException

from add4rsc.engine.normalisation import SharedBatchNorm2d, share_batch_norm
from add4rsc.engine.processes import computes_bfloat16, own_error
from add4rsc.errors import Add4rscError, WrongUsageError

HISTORY = ["validation_loss", "validation_specificity", "validation_sensitivity", "validation_score"]


def test_two_processes_give_what_one_gives(run, small_recipe, made_corpus, tmp_path):
    """23 training cycles in batches of 22, so that one process has nothing in every second step; 37 test cycles."""
    recipe = small_recipe(
        options__dropout=0.0, batch_size=22, class_weights="inverse", optimiser__clip_norm=1.0, epochs=2
    )
    run(recipe, tmp_path / "one")
    run(recipe, tmp_path / "two", devices=2)
    one, two = (pd.read_csv(tmp_path / name / "predictions.csv") for name in ("one", "two"))
    assert len(one) == 37
    assert two["cycle_id"].is_unique
    shares = [name for name in one if name.startswith("p_")]
    pd.testing.assert_frame_equal(one.drop(columns=shares), two.drop(columns=shares))
    assert float((one[shares] - two[shares]).abs().max(axis=None)) < 1e-4
    one, two = (pd.read_csv(tmp_path / name / "history.csv")[HISTORY] for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two, atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.skipif(not computes_bfloat16(), reason="this processor has no instructions for bfloat16")
def test_two_processes_compute_in_bfloat16_as_one_does(run, small_recipe, tmp_path):
    """Batches are frozen, which Fabric's own mixed precision cannot convert between processes."""
    changes = {"options.dropout": 0.0, "batch_size": 22, "epochs": 1, "precision": "bf16-mixed"}
    losses = []
    for name, devices in (("one", 1), ("two", 2)):
        run(small_recipe(**changes), tmp_path / name, devices=devices)
        losses.append(pd.read_csv(tmp_path / name / "history.csv")["validation_loss"])
    run(small_recipe(**changes | {"precision": "32-true"}), tmp_path / "single")
    single = pd.read_csv(tmp_path / "single" / "history.csv")["validation_loss"]
    assert (losses[0] - losses[1]).abs().max() < 5e-3
    assert 0 < (losses[0] - single).abs().max() < 5e-2


@pytest.mark.slow
@pytest.mark.parametrize("method", ["patch_mix_cl", "scl", "sg_scl", "pafa", "pc_mcl", "rep_augment", "fine_tuning"])
def test_methods_that_look_at_the_whole_batch_give_the_same(run, small_recipe, tmp_path, method):
    """23 training cycles in batches of 8, so that one process has three of the last 7; one steps by a second pass."""
    changes = {"method": method, "options": {}, "batch_size": 8, "epochs": 2, "views": 2}
    if method == "fine_tuning":
        changes["optimiser.sharpness_radius"] = 0.1
    recipe = small_recipe(**changes)
    run(recipe, tmp_path / "one")
    run(recipe, tmp_path / "two", devices=2)
    one, two = (pd.read_csv(tmp_path / name / "history.csv")[HISTORY] for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two, atol=1e-3, rtol=0)


@pytest.mark.slow
def test_error_of_another_process_is_one_of_ours(run, small_recipe, tmp_path):
    recipe = small_recipe(batch_size=3, epochs=1)
    with pytest.raises(
        Add4rscError, match=r"^Batches of 3 cycles cannot be divided among 2 devices.*batch_size="
    ) as it:
        run(recipe, tmp_path, devices=2)
    assert it.value.exit_code == 2


def test_error_is_found_in_what_torch_says_of_another_process():
    frames = 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n'
    ours = own_error(ProcessRaisedException(f"{frames}add4rsc.errors.RecipeError: a: b.\nDo c.\n", 1, 2))
    assert isinstance(ours, Add4rscError)
    assert (str(ours), ours.exit_code) == ("a: b.\nDo c.", 2)
    theirs = ProcessRaisedException(f"{frames}KeyError: 'add4rsc.errors.RecipeError: no'\n", 1, 2)
    assert own_error(theirs) is theirs


@pytest.mark.parametrize("accelerator", ["cuda", "abacus"])
def test_device_that_is_not_there_is_wrong_usage(run, small_recipe, tmp_path, accelerator):
    if accelerator == "cuda" and torch.cuda.is_available():
        pytest.skip("has one")
    with pytest.raises(WrongUsageError, match=f"--accelerator {accelerator} --devices 1: .*cpu"):
        run(small_recipe(), tmp_path, accelerator=accelerator)


@pytest.fixture
def alone(tmp_path):
    """A group of one process."""
    address = f"file://{tmp_path}/group"
    torch.distributed.init_process_group("gloo", init_method=address, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("affine", [True, False])
def test_shared_normalisation_is_torchs_where_all_cycles_are_here(alone, generator, affine):
    theirs = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3, affine=affine))
    ours = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3, affine=affine))
    ours.load_state_dict(theirs.state_dict())
    share_batch_norm(ours)
    assert type(ours[1]) is SharedBatchNorm2d
    for _ in range(3):
        log_mel = 5 + 2 * torch.randn(4, 2, 6, 5, generator=generator)
        cotangent = torch.randn(4, 3, 6, 5, generator=generator)
        outcomes = []
        for network in (theirs, ours):
            given = log_mel.clone().requires_grad_()
            (network(given) * cotangent).sum().backward()
            outcomes.append((network(log_mel), given.grad))
        for one, two in zip(*outcomes, strict=True):
            torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, atol=1e-5, rtol=1e-5)
    log_mel = torch.randn(2, 2, 3, 3, generator=generator)
    assert ours.eval()(log_mel).allclose(theirs.eval()(log_mel), atol=1e-5)
