"""Search for a network: pre-train encoders if ``params.yaml`` says so, then let Keras Tuner choose."""

from segline import config
from segline.pipeline.work import Work
from segline.project import Scratch
from segline.training.search import choice
from segline.training.search.choice import Choice


def pretrain(work: Work) -> None:
    """Pre-train the search's encoders on classification of whole images; a killed pre-training continues."""
    from segline.data.batches import loader
    from segline.training.backend import make_deterministic
    from segline.training.classification import pretrain as classification
    from segline.training.search.hyperparameters import list_encoders

    wanted, fit = work.params.classification, work.training
    make_deterministic(seed=work.params.seed, threads=fit.threads)
    task, label = work.dataset.image_label(wanted.task)
    ids = [name for split in ("train", "validation") for name in work.prepared.split(split).ids]
    classes = classification.collect_classes(task, label, ids)
    with loader.on_processes(work.loaders) as put:
        train_batches, validation_batches = work.batches(wanted.augmentation, put, rare=0.0)
        for encoder in list_encoders(work.params.search):
            with work.tracker.child(f"classification-{encoder}", name=f"{task}: {encoder}") as child:
                classification.pretrain(
                    encoder,
                    fit,
                    wanted,
                    classes=classes,
                    train=train_batches,
                    validation=validation_batches,
                    seed=work.params.seed,
                    tracker=child,
                    folder=work.scratch / Scratch.CLASSIFICATION,
                    report=lambda line, encoder=encoder: work.report(f"{task}, {encoder}: {line}"),  # type: ignore[misc]
                )


def check(work: Work) -> None:
    """Check that every candidate of the search can be built and suits the crops, before time is spent.

    Raises:
        ConfigError: a candidate cannot be built, or the crops do not suit it.
    """
    from segline.training.backend import make_deterministic
    from segline.training.search.hyperparameters import check_space

    make_deterministic(seed=work.params.seed, threads=work.params.training.threads)
    check_space(work.params.search, work.training, classes=len(work.dataset.label_map))


def search(work: Work) -> Choice:
    """Choose network, sizes, learning rate and augmentation strength on validation, with Keras Tuner."""
    from segline.data.batches import loader
    from segline.training.backend import make_deterministic

    stored = work.scratch / Scratch.CHOICE
    make_deterministic(seed=work.params.seed, threads=work.params.training.threads)
    if stored.is_file():
        work.report(f"search: already done, {stored}")
        return choice.read(stored)
    from segline.training.search import search as trials

    with loader.on_processes(work.loaders) as put:
        found = trials.search(
            work.params.search,
            work.training,
            classes=len(work.dataset.label_map),
            make_batches=lambda strength: work.batches(strength, put),
            seed=work.params.seed,
            tracker=work.tracker,
            folder=work.scratch / Scratch.TUNER,
            weights=_find_initial_weights(work),
            class_weights=work.class_weights,
            report=work.report,
        )
    found.write(stored)
    return found


def _find_initial_weights(work: Work) -> dict[str, str]:
    """Find the initial weights of the search's encoders: encoder -> weights file."""
    wanted = work.params.search
    if wanted.weights == config.CLASSIFICATION:
        return {encoder: str(work.scratch / Scratch.CLASSIFICATION / f"{encoder}.npz") for encoder in wanted.encoders}
    if wanted.weights_file:
        return dict.fromkeys(wanted.encoders, str(work.project.root / wanted.weights_file))
    return {encoder: str(stored.path) for encoder, stored in work.weights.items()}
