"""Notice that an experiment belongs to other data of the same name, before anything is trained.

Own data get an id from `segline init`. The first training stores it with the experiment, which has the same name as the
registered model. Public datasets have no id: their models are compared, whoever trained them.
"""

from mlflow import MlflowClient

from segline.datasets.base import Own
from segline.errors import TrackingError
from segline.project import Tags


def claim(client: MlflowClient, experiment_id: str, own: Own) -> None:
    """Check that an experiment belongs to the data `own`; one that belongs to nobody is given to them.

    Raises:
        TrackingError: it belongs to other data.
    """
    experiment = client.get_experiment(experiment_id)
    owner = experiment.tags.get(Tags.DATA_ID)
    if owner is None and own.id is not None:
        client.set_experiment_tag(experiment_id, Tags.DATA_ID, own.id)
    elif owner != own.id:
        stated = f"id {own.id}" if own.id else "no id"
        raise TrackingError(
            f"{client.tracking_uri} experiment {experiment.name}",
            found=f"it belongs to data with the id {owner}, and {own.definition} has {stated}",
            expected="one set of data under each name, so that models of different data never replace each other",
            remedy=f"give these data another name: segline init {own.path} --name NAME; if they are the same data as "
            f"in the other project, copy `id` from its {own.definition}",
        )
