"""`segline predict`: label maps of images."""

from pathlib import Path
from typing import Annotated

import typer

from segline.cli.application import app
from segline.console import complain, say


@app.command()
def predict(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="An image; a folder, with its sub-folders; a pattern in quotes ('photos/**/*.jpg'); or a list "
            "(.txt) with the path of an image on each line.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="A registered model (`segline-oxford_pets@champion`, `name/3`, `models:/name/3`), or a folder."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder for the results. Run the command again to continue there.")],
    write: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What to write, several times or with commas: ids, train_ids, palette, overlay, colours, figure, "
            "probabilities, confidence, geojson, coco, areas. Default: ids,overlay.",
        ),
    ] = None,
    head: Annotated[
        int | None, typer.Option(help="For a U-Net++ with several heads: use this head alone, which is faster.")
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Predict each image once, without averaging over mirror images.")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(help="Of a model with two classes: probability above which a pixel is foreground."),
    ] = None,
    abstain: Annotated[
        float | None,
        typer.Option(help="Leave pixels whose confidence is below this void, such as 0.7."),
    ] = None,
    opacity: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Opacity of the colours in overlays: 0 shows the image, 1 the colours."),
    ] = 0.5,
    legend: Annotated[bool, typer.Option(help="Put the names of the classes beside overlays.")] = True,
    show: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS",
            help="Colour and outline only this class; repeat it for more. Label maps hold all classes.",
        ),
    ] = None,
    levels: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="LOW HIGH", help="Lowest and highest value of 16-bit images: 0 4095 for 12 bits."),
    ] = None,
) -> None:
    """Predict the class of every pixel: write label maps (the dataset's own ids) and overlays, at the images' size."""
    from segline.pipeline import predict as predicting
    from segline.progress import showing

    options = predicting.Options(
        write=tuple(name.strip() for entry in write or () for name in entry.split(",") if name.strip()),
        opacity=opacity,
        legend=legend,
        shown=show or (),
        head=head,
        fast=fast,
        levels=levels,
        threshold=threshold,
        abstain=abstain,
    )
    ready = predicting.predict(model, source, output=output, options=options, report=complain)
    done = 0
    with showing(complain) as progress:
        advance = progress.start("predict", ready.images, unit="images")
        for _ in ready.written:
            done += 1
            advance(1)
    say(f"{done} images: {', '.join(ready.kinds)} written to {output}")
