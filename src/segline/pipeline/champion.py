"""Find the champion that a new model is compared with; a champion with other classes cannot be compared.

A model with classes that the registered model never had is judged by the floor alone. Returning to the classes of an
earlier champion must be asked for, because a forgotten edit of a class table would otherwise replace the champion.
"""

from dataclasses import dataclass

from filelock import FileLock

from segline.core.labels import LabelMap
from segline.errors import ComparisonError
from segline.progress import Report
from segline.project import Project, Tags
from segline.registry import label_maps, versions
from segline.registry.tracking import Client
from segline.registry.versions import Version

_MAX_CLASSES_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Champion:
    """The present champion.

    Args:
        is_comparable: whether it has the classes of the new model.
        classes: digest of its label map, and its classes, for a person to read.
    """

    version: Version
    is_comparable: bool
    classes: str


def find(client: Client, name: str, labels: LabelMap, *, challenger: Version | None = None) -> Champion | None:
    """Find the champion of the model `name`; None if there is none.

    Args:
        labels: classes of the new model.
        challenger: the version that is judged, if it is registered already.

    Raises:
        ComparisonError: the champion has other classes, and an earlier champion had those of `labels`.
        TrackingError: the champion's description cannot be fetched.
    """
    version = versions.champion(client, name, challenger=challenger)
    if version is None:
        return None
    if label_maps.has_classes(version, labels):
        return Champion(version=version, is_comparable=True, classes=describe(labels))
    classes = describe(label_maps.read(version))
    without = {version.version} | ({challenger.version} if challenger else set())
    earlier = label_maps.find_earlier_champion(client, name, labels, without=without)
    if earlier:
        raise ComparisonError(
            f"{name} version {version.version}",
            found=f"the champion has {classes}; these data have {describe(labels)}, as version {earlier.version}, "
            "an earlier champion",
            expected="the champion's classes, or classes that no champion had before",
            remedy=f"restore the classes that the champion has; or make version {earlier.version} the champion again "
            "and continue from there: segline train --earlier-classes (make run EARLIER_CLASSES=1)",
        )
    return Champion(version=version, is_comparable=False, classes=classes)


def check_before_search(
    project: Project, client: Client, name: str, labels: LabelMap, *, earlier_classes: bool, report: Report
) -> None:
    """Compare the classes of the data with those of the champion, before time is spent on a search.

    Args:
        earlier_classes: if the champion has other classes, make the last one that had these the champion again.

    Raises:
        ComparisonError: the champion has other classes, an earlier one had these, and `earlier_classes` is False.
        TrackingError: the champion's description cannot be fetched.
    """
    if earlier_classes:
        with FileLock(project.gate_lock(name)):
            _restore_earlier(client, name, labels, report=report)
    champion = find(client, name, labels)
    if champion and not champion.is_comparable:
        report(
            f"the champion, {name} version {champion.version.version}, has {champion.classes}; these data have "
            f"{describe(labels)}: the new model is not compared with it, only the floor applies"
        )


def _restore_earlier(client: Client, name: str, labels: LabelMap, *, report: Report) -> None:
    """Promote the last champion with these classes, unless the present one has them."""
    present = versions.champion(client, name)
    if present is None or label_maps.has_classes(present, labels):
        report(f"earlier classes: nothing to do, {name} has no champion with other classes")
        return
    earlier = label_maps.find_earlier_champion(client, name, labels, without={present.version})
    if earlier is None:
        report(f"earlier classes: nothing to do, no champion of {name} had {describe(labels)}")
        return
    versions.tag(client, earlier, {Tags.RESTORED: f"instead of version {present.version}"})
    versions.promote(client, earlier)
    report(f"{name} version {earlier.version} is the champion again, instead of version {present.version}")


def describe(labels: LabelMap) -> str:
    """Name a label map by its digest and its classes."""
    shown = [f"{item.raw} {item.name}" for item in labels.classes[:_MAX_CLASSES_SHOWN]]
    more = ["…"] if len(labels) > _MAX_CLASSES_SHOWN else []
    return f"label map {labels.digest} ({', '.join(shown + more)})"
