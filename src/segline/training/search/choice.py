"""The result of a search: the best trial's network and hyperparameters."""

from dataclasses import asdict, dataclass
from pathlib import Path

from segline.config import ModelConfig
from segline.storage import read_json, write_json


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The best trial of a search.

    Args:
        model_config: its network.
        learning_rate: the peak of its schedule.
        strength: its augmentation strength, 0..1.
        score: its best validation mIoU, after at most ``search.epochs`` epochs.
        trial_id: Keras Tuner's id of it, such as ``"0"``; with two digits if there are more than 10 trials.
    """

    model_config: ModelConfig
    learning_rate: float
    strength: float
    score: float
    trial_id: str

    def write(self, path: Path) -> None:
        """Write the choice to the JSON file `path`.

        Raises:
            StorageError: no room or no right to write.
        """
        write_json(path, asdict(self) | {"model_config": self.model_config.model_dump(mode="json")})


def read(path: Path) -> Choice:
    """Read the choice that `Choice.write` wrote to `path`."""
    content = read_json(path)
    return Choice(**content | {"model_config": ModelConfig.model_validate(content["model_config"])})
