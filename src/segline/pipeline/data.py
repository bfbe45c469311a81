"""Run a data stage of one dataset, public or the user's own.

Each function reads ``params.yaml``, finds the paths and calls its stage. `segline.data` has a folder for each stage.
"""

from segline import config
from segline.datasets.own.naming import naming
from segline.errors import ConfigError
from segline.pipeline.definition import load_definition
from segline.progress import Report
from segline.project import Project


def look(project: Project, dataset: str, *, report: Report) -> None:
    """Check whether the user's own data changed since the last time."""
    from segline.data.look import own

    params = config.load(project.params, dataset=dataset)
    if dataset not in params.own:
        raise ConfigError(
            f"{project.params} own",
            found=f"no {dataset}, because it is public",
            expected="the name of your own data",
            remedy=f"run `segline data download {dataset}`: public data need no look",
        )
    with naming(dataset):
        own.look(params.options[dataset], root=project.root, path=project.own(dataset), report=report)


def download(project: Project, dataset: str, *, report: Report) -> None:
    """Download the archives of `dataset` and check their digests; for own data, list the files and their digests."""
    params = config.load(project.params, dataset=dataset)
    folder = project.archives(dataset)
    if dataset in params.own:
        from segline.data.download import own

        with naming(dataset):
            own.download(dataset, params.options[dataset], root=project.root, folder=folder, report=report)
        return
    from segline.data.download.download import download as run

    definition = load_definition(project, params, dataset)
    run(definition, source=params.source, root=project.root, folder=folder, report=report)


def extract(project: Project, dataset: str, *, report: Report) -> None:
    """Unpack the archives of `dataset`; for own data, copy the files and paint masks from polygons."""
    params = config.load(project.params, dataset=dataset)
    archives, folder = project.archives(dataset), project.raw(dataset)
    if dataset in params.own:
        from segline.data.extract import own

        with naming(dataset):
            own.extract(
                dataset,
                params.options[dataset],
                root=project.root,
                archives=archives,
                folder=folder,
                workers=project.workers,
                report=report,
            )
        return
    from segline.data.extract.archives import extract as run

    run(load_definition(project, params, dataset), archives=archives, folder=folder, report=report)


def validate(project: Project, dataset: str, *, report: Report) -> None:
    """Build the manifest of `dataset` and check it."""
    from segline.data.validate.expectations import validate as run

    params = config.load(project.params, dataset=dataset)
    run(
        load_definition(project, params, dataset),
        raw=project.raw(dataset),
        folder=project.manifest(dataset),
        docs=project.data_report(dataset),
        validation_share=params.prepare.validation_share,
        quarantine_share=params.validation.quarantine_share,
        workers=project.workers,
        report=report,
    )


def size(project: Project, dataset: str, *, report: Report) -> None:
    """Write the size at which images are prepared; derive it for ``prepare.short_side: auto``."""
    from segline.data.images.size_file import write_size
    from segline.pipeline import short_side

    params = config.load(project.params, dataset=dataset)
    chosen = short_side.choose(project, params)
    pixels = params.prepare.pixels if chosen is None else chosen.pixels
    write_size(project.size(dataset), pixels)
    if chosen is not None:
        report(f"{dataset}: short side {chosen.pixels}: {chosen.why}")
        report(chosen.larger)


def prepare(project: Project, dataset: str, *, report: Report) -> None:
    """Decode all images and masks once into memory-mapped splits."""
    from segline.data.images.size_file import read_size
    from segline.data.prepare.prepare import prepare as run

    params = config.load(project.params, dataset=dataset)
    derived = params.prepare.short_side == "auto"
    run(
        load_definition(project, params, dataset),
        raw=project.raw(dataset),
        manifest_folder=project.manifest(dataset),
        folder=project.prepared(dataset),
        short_side=read_size(project.size(dataset)) if derived else params.prepare.pixels,
        workers=project.workers,
        report=report,
    )
