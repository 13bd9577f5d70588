import json
import re

import pytest

from add4rsc.backbones import backbones
from add4rsc.datasets import datasets
from add4rsc.methods import methods, recipes

NAMES = {
    "methods": methods.names,
    "recipes": recipes.names,
    "backbones": backbones.names,
    "datasets": datasets.names,
}


@pytest.mark.parametrize("kind", [*NAMES, "splits"])
def test_lists_name_every_plug_in(cli, kind):
    outcome = cli("list", kind, "--json")
    assert outcome.code == 0
    rows = json.loads(outcome.out)[kind]
    names = [row["name"] for row in rows]
    if kind == "splits":
        assert "icbhi2017/official" in names
        assert any(name.startswith("patient-folds") for name in names)
    else:
        assert names == NAMES[kind]()
    table = cli("list", kind)
    assert table.code == 0
    assert all(name in table.out for name in names)


@pytest.mark.parametrize("name", recipes.names())
def test_cite_prints_bibtex_of_the_method(cli, name):
    outcome = cli("cite", name)
    assert outcome.code == 0
    assert re.match(r"@\w+\{[a-z0-9]+,\n", outcome.out)
    assert outcome.out.count("{") == outcome.out.count("}")
    assert methods.get(recipes.get(name)().method).paper.title in outcome.out


def test_methods_say_which_rows_are_approximate(cli):
    """Those of which METHODS says that settings were not found, and not the one whose code and paper say all."""
    rows = {row["name"]: row for row in json.loads(cli("list", "methods", "--json").out)["methods"]}
    for name in ("lungrn_nl", "splice", "co_tuning", "stochastic_normalisation", "rep_augment", "lung_adapter"):
        assert rows[name]["approximate"] == "yes", name
    assert rows["patch_mix_cl"]["approximate"] == "no"
    assert rows["patch_mix_cl"]["recipe"] == "patch_mix_cl/ast"
    for row in rows.values():
        assert row["deviations"] == len(recipes.get(row["recipe"])().deviations)
