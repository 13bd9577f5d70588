"""Several corpora in training."""

from dataclasses import replace

import pytest

from add4rsc.datasets.opening import open_dataset
from add4rsc.errors import SplitError
from add4rsc.protocol.corpora import _joined_task, join_training
from add4rsc.protocol.split import make_split
from add4rsc.terms import Task


@pytest.mark.data
def test_training_and_validation_grow_by_the_other_corpus_and_the_test_stays(shared_data):
    here = open_dataset(shared_data / "icbhi2017_subset")
    there = open_dataset(shared_data / "sprsound2022" / "BioCAS2022")
    settings = {"validation_share": 0.2, "validation_seed": 0}
    alone = make_split(here, here.tasks["cycle-4"], "icbhi2017/official", **settings)
    joined = join_training(alone, [there], **settings)
    other = make_split(there, there.tasks["cycle-4"], "sprsound2022/inter", **settings)
    assert joined.test == alone.test
    assert len(joined.train) == len(alone.train) + len(other.train)
    assert len(joined.validation) == len(alone.validation) + len(other.validation)
    assert len(other.train) + len(other.validation) == 6656
    labels = [joined.task.label(cycle.annotation) for cycle in joined.train]
    assert labels.count(1) == joined.report()["subsets"]["train"]["cycles_per_class"]["crackle"]
    assert None not in labels
    patients = [{cycle.recording.patient_id for cycle in part} for part in (joined.train, joined.validation)]
    assert not patients[0] & patients[1]


def test_corpora_that_disagree_are_refused():
    task = Task("cycle-4", "cycle", ("normal", "crackle"), {"normal": "normal", "fine": "crackle"})
    with pytest.raises(SplitError, match="'fine' is crackle in one corpus and normal"):
        _joined_task(task, replace(task, class_of={"fine": "normal"}))
    assert _joined_task(task, replace(task, class_of={"coarse": "crackle"})).class_of == {
        "normal": "normal", "fine": "crackle", "coarse": "crackle",
    }  # fmt: skip


def test_a_task_that_only_one_corpus_has_is_refused(made_corpus):
    dataset = open_dataset(made_corpus)
    split = make_split(dataset, dataset.tasks["cycle-4"], "patient-folds-2/1", validation_share=0.0)
    lonely = replace(split, task=replace(split.task, name="task-9"))
    with pytest.raises(SplitError, match="has no task 'task-9'"):
        join_training(lonely, [dataset], validation_share=0.0, validation_seed=0)
