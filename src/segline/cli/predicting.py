"""`segline predict`: label maps of images."""

from pathlib import Path
from typing import Annotated

import typer

from segline.cli.application import app
from segline.console import complain, say


@app.command()
def predict(
    source: Annotated[Path, typer.Argument(metavar="IMAGE_OR_FOLDER", help="An image, or a folder of images.")],
    model: Annotated[
        str,
        typer.Option(
            help="A registered model (`segline-oxford_pets@champion`, `name/3`, `models:/name/3`), or a folder."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder for `<stem>_labels.png` and `<stem>_overlay.png`.")],
    head: Annotated[
        int | None, typer.Option(help="For a U-Net++ with several heads: use this head alone, which is faster.")
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Predict each image once, without averaging over mirror images.")
    ] = False,
    opacity: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Opacity of the colours in overlays: 0 shows the image, 1 the colours."),
    ] = 0.5,
    show: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS", help="Colour only this class in overlays; repeat it for more. Label maps hold all classes."
        ),
    ] = None,
    levels: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="LOW HIGH", help="Lowest and highest value of 16-bit images: 0 4095 for 12 bits."),
    ] = None,
) -> None:
    """Predict the class of every pixel: write label maps (the dataset's own ids) and overlays, at the images' size."""
    from segline.inference.image_files import find_images
    from segline.pipeline.predict import predict as run
    from segline.progress import showing

    files = find_images(source).images
    written = run(
        model,
        source,
        output=output,
        report=complain,
        opacity=opacity,
        shown=show or (),
        head=head,
        fast=fast,
        levels=levels,
    )
    count = 0
    with showing(complain) as progress:
        advance = progress.start("predict", len(files), unit="images")
        for _ in written:
            count += 1
            advance(1)
    say(f"{count} label maps and overlays written to {output}")
