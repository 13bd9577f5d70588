"""What every training step did, as a table beside the run."""

from pathlib import Path

import pandas as pd
import torch
from torch import nn

from add4rsc.storage import write_text

STEPS = "steps.csv"


def describe_gradient(module: nn.Module, scale: float = 1.0) -> dict[str, float]:
    """Size of the whole gradient, and how many of the tensors that learn got none of it.

    Args:
        module: after the backward pass.
        scale: what the loss was multiplied by for half precision.

    Returns:
        `gradient_norm`, not finite if any value is not, and `without_gradient`: tensors whose gradient is missing or
        zero throughout.
    """
    learning = [weight for weight in module.parameters() if weight.requires_grad]
    gradients = [weight.grad for weight in learning if weight.grad is not None]
    if not gradients:
        return {"gradient_norm": 0.0, "without_gradient": float(len(learning))}
    norms = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients])
    return {
        "gradient_norm": float(norms.norm()) / scale,
        "without_gradient": float(len(learning) - int((norms != 0).sum())),
    }


class StepLog:
    """`steps.csv`: one row a step, with the loss, its terms and the size of the gradient; written after every epoch.

    It goes on where a checkpoint was made: rows of later epochs, which a killed run may have left, are made again.
    """

    def __init__(self, path: Path, n_epochs_done: int) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        if n_epochs_done and path.exists():
            table = pd.read_csv(path)
            kept = table[table["epoch"] <= n_epochs_done].to_dict("records")
            self.rows = [{str(name): value for name, value in row.items()} for row in kept]

    def add(self, epoch: int, step: int, values: dict[str, float]) -> None:
        """Note a step; epochs and steps are counted from 1."""
        self.rows.append({"epoch": epoch, "step": step, **{name: round(value, 7) for name, value in values.items()}})

    def save(self) -> None:
        """Write the table.

        Raises:
            StorageError: if it cannot be written; the previous one stays good.
        """
        write_text(self.path, pd.DataFrame(self.rows).to_csv(index=False))
