"""The processes of a run: ours alone, those that we start, or those that torchrun or SLURM has started."""

import os
import platform
from collections.abc import Callable
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision.amp import MixedPrecision
from torch.multiprocessing.spawn import ProcessRaisedException

from add4rsc import errors
from add4rsc.engine.progress import console
from add4rsc.errors import Add4rscError, WrongUsageError

SINGLE, UNSCALED = "32-true", "16-mixed-unscaled"


def is_first_process() -> bool:
    """Whether this process speaks for all that a cluster's launcher started."""
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"


def under_launcher() -> bool:
    """Whether torchrun or SLURM has started us, perhaps several times over."""
    return "TORCHELASTIC_RUN_ID" in os.environ or "SLURM_JOB_ID" in os.environ


def build_fabric(precision: str, accelerator: str, devices: int) -> Fabric:
    """The engine for that many processes on each machine; under torchrun, for those that it started.

    Args:
        precision: of a recipe; `16-mixed-unscaled` is half precision without a gradient scaler.
        accelerator: auto, cpu, cuda or mps.
        devices: processes on this machine; 1 takes torchrun's number.

    Raises:
        WrongUsageError: if the machine has no such devices.
    """
    devices, n_machines = _layout(devices)
    several = "ddp" if under_launcher() else "ddp_spawn"
    try:
        return Fabric(
            accelerator=accelerator,
            devices=devices,
            num_nodes=n_machines,
            strategy=several if devices > 1 or under_launcher() else "auto",
            **_precision(precision, accelerator),
        )
    except (ValueError, RuntimeError) as error:
        raise WrongUsageError(f"--accelerator {accelerator} --devices {devices}: {error}") from error


def _layout(devices: int) -> tuple[int, int]:
    """Processes on a machine, and machines."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return devices, 1
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    if devices not in (1, local):
        raise WrongUsageError(
            f"--devices {devices}: torchrun has started {local} on this machine. Leave --devices out."
        )
    return local, int(os.environ["WORLD_SIZE"]) // local


class LeavingInputs(MixedPrecision):
    """Mixed precision that hands batches on as they are: Fabric cannot convert frozen ones, and need not."""

    def convert_input(self, data: Any) -> Any:
        """The same, on one device or on many; autocast converts within the network."""
        return data


def _precision(precision: str, accelerator: str) -> dict[str, Any]:
    """What Fabric is to be told of the precision.

    A CPU takes a hundred times as long for half precision as for single, so it has bfloat16 in its place, whose range
    is that of single precision and which no scaler is needed for. One that has no instructions for bfloat16 takes
    twenty times as long for that too, and has single precision.
    """
    if precision == SINGLE:
        return {"precision": precision}
    on_gpu = accelerator in ("auto", "cuda", "gpu") and torch.cuda.is_available()
    if not on_gpu and accelerator != "mps" and not computes_bfloat16():
        return {"precision": SINGLE}
    if not on_gpu:
        return {"plugins": LeavingInputs("bf16-mixed", "cpu" if accelerator != "mps" else "mps")}
    if precision == UNSCALED:
        return {"plugins": unscaled_half_precision("cuda")}
    return {"plugins": LeavingInputs("bf16-mixed" if precision == "bf16-mixed" else "16-mixed", "cuda")}


def computes_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16 (AVX512-BF16, AMX, or the ARM ones)."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def unscaled_half_precision(device: str) -> LeavingInputs:
    """Half precision whose gradient scaler is off, as in ADD4RSC's released code (METHODS 4.5, item 10)."""
    return LeavingInputs("16-mixed", device, torch.amp.GradScaler(device, enabled=False))


def tell_precision(fabric: Fabric, precision: str) -> None:
    """Say it where a recipe's half precision, or bfloat16, has become another."""
    used = precision_of(fabric)
    if used in (SINGLE, "bf16-mixed") and used != precision and is_first_process():
        console.print(f"precision={precision}: this device computes in {used} in its place.")


def precision_of(fabric: Fabric) -> str:
    """The precision that a run has in the end."""
    return str(fabric.strategy.precision.precision)


def act_first(fabric: Fabric, act: Callable[[], None]) -> None:
    """Let the first process act while the others of a launcher wait; what fails there fails everywhere.

    Args:
        fabric: of this run; it makes the processes known to each other.
        act: changes files.

    Raises:
        Add4rscError: of `act`.
    """
    failure: Add4rscError | None = None
    if under_launcher():
        fabric.launch()
    if is_first_process():
        try:
            act()
        except Add4rscError as error:
            failure = error
    if under_launcher():
        told = fabric.broadcast(None if failure is None else (str(failure), failure.exit_code))
        failure = failure or (None if told is None else _error(*told))
    if failure is not None:
        raise failure


def launch(fabric: Fabric, run: Callable[[Fabric], None]) -> None:
    """Run a function in every process; an error of ours in another process is one of ours here.

    Raises:
        Add4rscError: as raised in another process.
    """
    try:
        fabric.launch(run)
    except ProcessRaisedException as error:
        raise own_error(error) from error


def own_error(raised: ProcessRaisedException) -> Exception:
    """Our error behind a process' traceback, which is all that torch hands on; that itself if it is none of ours."""
    last = raised.msg.rpartition("\nadd4rsc.errors.")[2]
    name, colon, message = last.partition(": ")
    kind = getattr(errors, name, None) if colon and last != raised.msg else None
    return raised if kind is None else _error(message.strip(), kind.exit_code)


def _error(message: str, exit_code: int) -> Add4rscError:
    error = Add4rscError(message)
    error.exit_code = exit_code
    return error
