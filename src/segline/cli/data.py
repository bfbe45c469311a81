"""`segline data`: the stages of the data."""

import typer

from segline.cli.application import DatasetArgument, app, say

data = typer.Typer(
    help="The data stages, one dataset at a time (`dvc repro` runs them all, in order, where needed).",
    no_args_is_help=True,
)
app.add_typer(data, name="data")


@data.command()
def look(dataset: DatasetArgument) -> None:
    """See whether your own data changed since the last time (`dvc repro` asks this first)."""
    from segline import config, project
    from segline.data.download import own

    places = project.load()
    params = config.load(places.params, dataset=dataset)
    own.look(params.options[dataset], root=places.root, path=places.own(dataset), report=say)


@data.command()
def download(dataset: DatasetArgument) -> None:
    """Fetch the archives from `source` and check their digests; of your own data, list the files and theirs."""
    from segline import config, datasets, project
    from segline.data.download.download import download as run

    places = project.load()
    params = config.load(places.params, dataset=dataset)
    if dataset in params.own:
        from segline.data.download import own

        own.download(params.options[dataset], root=places.root, folder=places.archives(dataset), report=say)
        return
    run(
        datasets.load(dataset, params.options.get(dataset), raw=places.raw(dataset)),
        source=params.source,
        root=places.root,
        folder=places.archives(dataset),
        report=say,
    )


@data.command()
def extract(dataset: DatasetArgument) -> None:
    """Unpack the archives, refusing hostile ones; copy your own data, and paint masks from polygons."""
    from segline import config, datasets, project
    from segline.data.extract.archives import extract as run

    places = project.load()
    params = config.load(places.params, dataset=dataset)
    if dataset in params.own:
        from segline.data.download import own

        own.extract(
            params.options[dataset],
            root=places.root,
            archives=places.archives(dataset),
            folder=places.raw(dataset),
            workers=places.workers,
            report=say,
        )
        return
    run(
        datasets.load(dataset, params.options.get(dataset), raw=places.raw(dataset)),
        archives=places.archives(dataset),
        folder=places.raw(dataset),
        report=say,
    )


@data.command()
def validate(dataset: DatasetArgument) -> None:
    """Build the manifest and let Great Expectations judge it."""
    from segline import config, datasets, project
    from segline.data.validate.expectations import validate as run

    places = project.load()
    params = config.load(places.params, dataset=dataset)
    run(
        datasets.load(dataset, params.options.get(dataset), raw=places.raw(dataset)),
        raw=places.raw(dataset),
        folder=places.manifest(dataset),
        docs=places.reports / "data" / dataset,
        validation_share=params.prepare.validation_share,
        quarantine_share=params.validation.quarantine_share,
        workers=places.workers,
        report=say,
    )


@data.command()
def prepare(dataset: DatasetArgument) -> None:
    """Decode everything once into memory-mapped splits."""
    from segline import config, datasets, project
    from segline.data.prepare.prepare import prepare as run

    places = project.load()
    params = config.load(places.params, dataset=dataset)
    run(
        datasets.load(dataset, params.options.get(dataset), raw=places.raw(dataset)),
        raw=places.raw(dataset),
        manifest_folder=places.manifest(dataset),
        folder=places.prepared(dataset),
        short_side=params.prepare.short_side,
        workers=places.workers,
        report=say,
    )
