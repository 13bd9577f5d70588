"""The test subset of a corpus through a network that is trained already."""

from collections.abc import Collection
from pathlib import Path

from lightning_fabric import Fabric

from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.correction import correct_as_trained
from add4rsc.engine.devices import predict_with_devices
from add4rsc.engine.features import cache_folder, prepare_windows
from add4rsc.engine.loading import TrainedRun
from add4rsc.engine.predict import known_groups, predict_probabilities, to_predictions
from add4rsc.errors import WrongUsageError
from add4rsc.methods._base import AbstractInformedMethod
from add4rsc.predictions import Predictions
from add4rsc.protocol.split import make_split
from add4rsc.protocol.stethoscopes import only_stethoscopes


def predict_test_subset(
    run: TrainedRun, data_folder: Path, split_name: str | None = None, hidden: Collection[str] = ()
) -> Predictions:
    """Predict the test cycles of a corpus, the run's own or another with a task of the same name and classes.

    Args:
        run: the trained network.
        data_folder: of the corpus.
        split_name: whose test subset; None is the run's own split, or the first one of another corpus.
        hidden: groups of `terms.GROUPS` that the network is not told, if it is one that is told what is known of the
            recordings.

    Raises:
        DatasetNotFoundError, SplitError, UnknownNameError, AudioError, AnnotationError: as their messages say.
        WrongUsageError: if the corpus has no task with the network's classes, or something is to be hidden from a
            network that hears the sound alone.
    """
    recipe = run.recipe
    if hidden and not isinstance(run.network, AbstractInformedMethod):
        raise WrongUsageError(
            f"{run.folder} holds a network of method '{recipe.method}', which is told nothing but the sound, so that "
            "nothing can be hidden from it. Test it without --hide and --without-metadata."
        )
    dataset = open_dataset(data_folder)
    name = recipe.task or next(iter(dataset.tasks))
    if name not in dataset.tasks or dataset.tasks[name].classes != run.classes:
        raise WrongUsageError(
            f"{run.folder} tells apart {', '.join(run.classes)}, which is no task of {dataset.name} called '{name}'. "
            "Test it on a corpus of its own kind."
        )
    task, is_own = dataset.tasks[name], dataset.name == recipe.dataset
    own_split = recipe.split if is_own else None
    split = make_split(dataset, task, split_name or own_split or dataset.split_names[0], validation_share=0.0)
    test = only_stethoscopes(split, recipe.stethoscopes if is_own else ()).test
    test = correct_as_trained(recipe, run.folder, test)
    store = prepare_windows(test, recipe.crop, run.front_end, cache_folder())
    fabric = Fabric(accelerator="auto", devices=1)
    probabilities = predict_probabilities(fabric, run.network, store, groups=known_groups(test, hidden))
    probabilities = predict_with_devices(fabric, run, probabilities, test, hidden)
    constants = {"subset": "test", "split": split.name, "selection": recipe.selection.value}
    return to_predictions(test, probabilities, task, **constants)
