"""Measure every encoder under one decoder, and every decoder on one encoder; write the table and the picture of docs.

    .venv/bin/python benchmarks/network_table.py --output /tmp/networks.json --docs docs

Each network is measured in a process of its own, with one thread, in processor time: on an idle core that is the
latency. A busy machine distorts it: times at load 13 were up to 1.5 times those at load 6. Networks that the output
holds already are not measured again. ImageNet top-1 is as published.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import machine
import networks
from matplotlib.figure import Figure

from segline.models.weights import catalogue
from segline.storage import write_json

THREADS = 1
_MIB = 2**20


def main() -> None:
    options = _options()
    found = _measure(options.output)
    table = f"{_table('encoder', networks.ENCODERS, found)}\n{_table('decoder', networks.DECODERS, found)}"
    print(table)
    if options.docs:
        _insert(table, options.docs / "pretrained.md")
        _draw(found, options.docs / "networks.svg")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="JSON file of the results")
    parser.add_argument("--docs", type=Path, help="folder whose table and picture are replaced")
    return parser.parse_args()


def _measure(path: Path) -> dict[str, Any]:
    """Measure the networks that `path` does not hold yet; return all."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for name in {**networks.ENCODERS, **networks.DECODERS}:
        if name in found:
            continue
        print(f"{name}; {machine.line('tensorflow', 'keras')}", file=sys.stderr, flush=True)
        command = [sys.executable, str(Path(networks.__file__)), "processor", name, str(THREADS)]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        found[name] = json.loads(answer.stdout.splitlines()[-1])
        write_json(path, found)
    return found


def _table(part: str, configs: dict[str, Any], found: dict[str, Any]) -> str:
    lines = [
        f"| {part} | parameters | ImageNet top-1 | images/s in training | latency, 512x256 | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    for name, config in configs.items():
        row, published = found[name], catalogue.find(config["encoder"])
        top_1 = f"{published.top_1} %" if published else "none published"
        lines.append(
            f"| `{config[part]}` | {row['parameters'] / 1e6:.2f} M | {top_1} | {row['speed']:.1f} "
            f"| {1000 * row['latency']:.0f} ms | {row['memory'] / _MIB:.0f} MiB |"
        )
    return "\n".join(lines) + "\n"


def _insert(table: str, path: Path) -> None:
    """Replace what is between the two comments of the page."""
    begin, end = "<!-- networks: begin -->\n", "<!-- networks: end -->"
    before, _, rest = path.read_text().partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}{table}{end}{after}")


def _draw(found: dict[str, Any], path: Path) -> None:
    """Draw published top-1 by latency, with the line of the encoders that no other one beats in both."""
    points = sorted(
        (1000 * found[name]["latency"], published.top_1, config["encoder"])
        for name, config in networks.ENCODERS.items()
        if (published := catalogue.find(config["encoder"]))
    )
    best = [point for place, point in enumerate(points) if all(point[1] > other[1] for other in points[:place])]
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([x for x, *_ in best], [y for _, y, _ in best], color="#94a3b8", zorder=1)
    axes.scatter([x for x, *_ in points], [y for _, y, _ in points], color="#2563eb", zorder=2)
    for x, y, encoder in points:
        axes.annotate(encoder, (x, y), textcoords="offset points", xytext=(6, -11), fontsize=9)
    axes.set_xlabel(f"latency under the decoder {networks.DECODER}, 512x256, one core [ms]")
    axes.set_ylabel("published ImageNet top-1 [%]")
    axes.margins(x=0.3, y=0.12)
    axes.set_xlim(left=0)
    axes.grid(color="#e2e8f0")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
