"""Published weights of encoders, as a plan sees them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from segline.errors import ConfigError
from segline.training.plan.constants import AUTO_ENCODERS, OFFERED_ENCODERS


@dataclass(frozen=True, kw_only=True)
class KnownWeights:
    """Published weights that are on this machine, and those that can be brought here.

    Args:
        here: encoder -> origin and digest of its weights, if they are on this machine.
        commands: encoder -> the command that brings its weights here.
        faults: encoder -> why the weights that were found for it cannot be used.
        chosen: the encoders that an earlier run chose; empty if there was none.
    """

    here: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, ConfigError] = field(default_factory=dict)
    chosen: tuple[str, ...] = ()

    def choose(self, pixels: int) -> tuple[str, ...]:
        """Choose encoders for `search.weights: auto`: an earlier run's, or else the first ones whose weights are here.

        Args:
            pixels: of the training split.

        Raises:
            ConfigError: no weights are here; or those that would be chosen cannot be used, or are no longer here.
        """
        ordered = _order(pixels)
        first = tuple(encoder for encoder in ordered if encoder in {**self.here, **self.faults})[:1]
        others = tuple(encoder for encoder in ordered if encoder in self.here and encoder not in first)
        found = self.chosen or (first + others)[:OFFERED_ENCODERS]
        for encoder in found:
            if encoder in self.faults:
                raise self.faults[encoder]
            if encoder not in self.here:
                raise self._make_lost_error(encoder)
        if not found:
            raise ConfigError(
                "params.yaml search.weights",
                found="auto, but no published weights are on this machine",
                expected=f"weights of one of {', '.join(ordered)}",
                remedy=f"{self.commands.get(ordered[0], 'segline weights list')}; or set search.weights to null",
            )
        return found

    def _make_lost_error(self, encoder: str) -> ConfigError:
        return ConfigError(
            "params.yaml search.weights",
            found=f"auto, but the weights of {encoder} are no longer on this machine",
            expected="the weights that an earlier run started from (weights.yaml)",
            remedy=f"{self.commands.get(encoder, 'bring them back')}; or delete the entry of the dataset in "
            "weights.yaml, to choose again",
        )

    def describe(self, encoder: str, pixels: int) -> str:
        """Say where the weights of `encoder` are, and what would be chosen instead of it if it were here."""
        ordered = _order(pixels)
        preferred = ordered[: ordered.index(encoder)] if encoder in ordered else ordered
        offers = [self._offer(other) for other in preferred[:1] if other not in self.here]
        return "; ".join([f"{encoder} ({self.here.get(encoder, 'not on this machine')})", *offers])

    def describe_offer(self, pixels: int) -> str:
        """Say what `search.weights: auto` would start from."""
        ordered = _order(pixels)
        found = [encoder for encoder in ordered if encoder in self.here][:OFFERED_ENCODERS]
        if not found:
            return self._offer(ordered[0])
        others = "".join(f"{encoder} or " for encoder in found[1:])
        return f"`auto` starts from {others}{self.describe(found[0], pixels)}"

    def _offer(self, encoder: str) -> str:
        return f"`auto` would start from {encoder} after `{self.commands.get(encoder, 'segline weights list')}`"


NO_WEIGHTS = KnownWeights()


def _order(pixels: int) -> tuple[str, ...]:
    return next(encoders for least, encoders in reversed(AUTO_ENCODERS) if pixels >= least)
