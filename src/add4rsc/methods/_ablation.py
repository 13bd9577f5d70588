"""The ablation of ADD4RSC: which of its three parts bring what (Dong et al. 2025, arXiv:2506.02505, METHODS 4.1)."""

from dataclasses import dataclass
from typing import Any

from add4rsc.errors import WrongUsageError
from add4rsc.recipe import Recipe, Reported


@dataclass(frozen=True)
class AblationRow:
    """One row of the table: which parts are there, and what the paper printed for the AST."""

    name: str
    use_filter: bool
    use_attention: bool
    use_loss: bool
    reported: Reported | None

    @property
    def folder(self) -> str:
        """Name of the row's run folder."""
        return self.name.replace(" + ", "-").replace(" ", "-")


def _reported(specificity: float, sensitivity: float, score: float) -> Reported:
    return Reported(specificity=specificity, sensitivity=sensitivity, score=score)


BASELINE_SCORE = 0.6254
"""The paper prints no specificity and no sensitivity of its baseline."""

ROWS = (
    AblationRow("baseline", False, False, False, None),
    AblationRow("filter", True, False, False, _reported(0.8247, 0.4447, 0.6347)),
    AblationRow("attention", False, True, False, _reported(0.8373, 0.4403, 0.6388)),
    AblationRow("filter + attention", True, True, False, _reported(0.8441, 0.4478, 0.6460)),
    AblationRow("filter + loss", True, False, True, _reported(0.8376, 0.4462, 0.6419)),
    AblationRow("attention + loss", False, True, True, _reported(0.8454, 0.4432, 0.6443)),
    AblationRow("filter + attention + loss", True, True, True, _reported(0.8513, 0.4594, 0.6553)),
)
"""In the paper's order. Single runs on the random division of files, as far as can be told (METHODS 2.1)."""


def ablation_recipe(recipe: Recipe, row: AblationRow, preset: str | None = None) -> Recipe:
    """A recipe of ADD4RSC with only the parts of one row; everything else stays, down to the stretched input.

    Args:
        recipe: of the method `add4rsc`.
        row: the parts.
        preset: form of the ADD layer; None keeps the recipe's.

    Raises:
        WrongUsageError: if the recipe is of another method.
    """
    if recipe.method != "add4rsc":
        raise WrongUsageError(f"{recipe.name} is of the method {recipe.method}. Ablate a recipe of add4rsc.")
    options: dict[str, Any] = recipe.options | ({} if preset is None else {"preset": preset})
    parts: dict[str, Any] = {"use_filter": row.use_filter, "use_attention": row.use_attention}
    if not row.use_loss:
        parts["loss_beta"] = 0.0
    changes = {
        "name": f"{recipe.name} ({row.name})",
        "options": options | {"add": options.get("add", {}) | parts},
        "reported": row.reported if recipe.backbone == "ast" else None,
    }
    return recipe.model_copy(update=changes)
