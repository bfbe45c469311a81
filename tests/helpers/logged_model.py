"""A model that is registered as the pipeline does it, in a real store."""

from segline.inference import bundle as bundles
from segline.registry import tracking, versions


def register(client, settings, bundle, *, name):
    """Log and register `bundle`; return its version and its run."""
    folder = settings.root / name / "bundle"
    bundles.save(bundle, folder)
    run = tracking.open_parent(client, tracking.experiment(client, settings, name), key="k", name="n")
    version = versions.register(client, run_id=run.info.run_id, name=name, bundle=folder, tags={})
    return version, run
