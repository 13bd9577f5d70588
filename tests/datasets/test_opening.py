"""A folder is opened as what it is, or refused with what was expected."""

from pathlib import Path

import pytest

from add4rsc.datasets.icbhi2017 import Icbhi2017
from add4rsc.datasets.opening import open_dataset
from add4rsc.datasets.sprsound import SprSound2022
from add4rsc.errors import DatasetNotFoundError, UnknownNameError


@pytest.mark.parametrize("kind", [Icbhi2017, SprSound2022])
def test_layout_is_recognised_and_may_be_named(tmp_path: Path, kind: type[Icbhi2017] | type[SprSound2022]) -> None:
    folder = kind.fake(tmp_path)
    assert type(open_dataset(folder)) is kind
    assert type(open_dataset(folder, kind.name)) is kind
    other = "sprsound2022" if kind is Icbhi2017 else "icbhi2017"
    with pytest.raises(DatasetNotFoundError, match=f"{other}: no recordings"):
        open_dataset(folder, other)


def test_empty_folder_text_files_and_no_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "101_1b1_Al_sc_Meditron.txt").write_text("0.1\t0.9\t0\t0\n")
    (tmp_path / "file").write_text("a file")
    for name in ("empty", "texts", "missing", "file"):
        with pytest.raises(DatasetNotFoundError) as caught:
            open_dataset(tmp_path / name)
        assert "101_1b1_Al_sc_Meditron" in str(caught.value)
        assert "40069321_15.3_0_p1_981" in str(caught.value)
        assert str(tmp_path / name) in str(caught.value)


def test_unknown_name_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="icbhi2017"):
        open_dataset(tmp_path, "icbhi")


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("icbhi2017_subset", Icbhi2017),
        ("icbhi2017_subset/ICBHI_final_database", Icbhi2017),
        ("icbhi2017_native", Icbhi2017),
        ("sprsound2022", SprSound2022),
        ("sprsound2022/BioCAS2022", SprSound2022),
    ],
)
def test_real_folders_are_recognised(shared_data: Path, folder: str, kind: type) -> None:
    assert type(open_dataset(shared_data / folder)) is kind


@pytest.mark.data
@pytest.mark.parametrize("folder", ["icbhi2017_annotations", "noise"])
def test_real_folders_of_other_things_are_refused(shared_data: Path, folder: str) -> None:
    with pytest.raises(DatasetNotFoundError):
        open_dataset(shared_data / folder)
