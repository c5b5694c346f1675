"""`caption`: draws text onto an image. Images travel by path, not through the queue.

The input names an image file and perhaps an output file; without one the captioned image goes to a folder in
the temporary directory, under a name made from the input, so that repeats don't pile up.
"""

import hashlib
import os
import tempfile
import textwrap
import uuid
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

from workloads.inputs import fields, shown
from workloads.task import InvalidInput, Task, VerificationError, no_nominal

FORM = '{"image": "/path/to/photo.png", "text": "…"} with perhaps "output": "/path/to/captioned.png"'
EXAMPLE = "example"
"""Stands for an image that the task draws for itself."""
EXAMPLE_SIZE = (1280, 720)
FOLDER = "caption.queuebench"
"""Folder in the temporary directory, one for each user, for the example and for outputs without a path."""

MAX_PIXELS = 40_000_000
MAX_SIDE = 20_000
MIN_SIDE = 16
MAX_TEXT = 500
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def task() -> Task:
    """The task `caption`. Input: image, text, perhaps output. Output: path, width, height, sha256."""
    return Task(
        name="caption",
        run=run,
        check=check,
        verify=verify,
        example={"image": EXAMPLE, "text": "Nobody waits in line for this one"},
        probe={"image": EXAMPLE, "text": "ready"},
        holds_gil=None,
        nominal=no_nominal,
    )


def check(value: Any) -> dict[str, str]:
    """Normalise to {"image", "text"} and perhaps {"output"}, with full paths; reads the image's header only.

    Raises InvalidInput where the image is missing, unreadable or of an absurd size, where the text is empty
    or too long, and where the output can't be written or would replace something that is no image.
    """
    asked = fields(value, FORM, ["image", "text"], ["output"])
    for name, entry in asked.items():
        if not isinstance(entry, str) or "\0" in entry:
            raise InvalidInput(f"{name} of caption must be text, not {shown(entry)}")
    if not asked["text"].strip() or len(asked["text"]) > MAX_TEXT:
        raise InvalidInput(f"text of caption must have from 1 to {MAX_TEXT} characters")
    checked = {"image": asked["image"], "text": asked["text"]}
    if asked["image"] != EXAMPLE:
        checked["image"] = str(Path(asked["image"]).absolute())
        with _open(checked["image"]):
            pass
    if "output" in asked:
        checked["output"] = str(_checked_output(asked["output"], checked["image"]))
    return checked


def run(value: Any) -> dict[str, Any]:
    """Draw the text at the foot of the image and write the result, whole or not at all.

    Raises InvalidInput where the image turns out to be damaged, OSError where the result can't be written.
    """
    asked = check(value)
    source = str(_example()) if asked["image"] == EXAMPLE else asked["image"]
    with _open(source) as opened:
        try:
            image = opened.convert("RGB")
        except (OSError, SyntaxError, ValueError) as error:
            raise InvalidInput(f"image {shown(asked['image'])} is damaged: {error}") from None
    _draw(image, asked["text"])
    target = Path(asked["output"]) if "output" in asked else _default_output(asked)
    digest = _write(image, target)
    return {"path": str(target), "width": image.width, "height": image.height, "sha256": digest}


def verify(value: Any, output: Any) -> None:
    """The file is there, is an image as large as the original, and is byte for byte what the job wrote."""
    if not isinstance(output, dict) or output.keys() != {"path", "width", "height", "sha256"}:
        raise VerificationError(f"caption gives path, width, height and sha256, not {shown(output)}")
    try:
        content = Path(output["path"]).read_bytes()
        with Image.open(output["path"]) as image:
            size = image.size
        expected = _expected_size(value)
    except (OSError, TypeError, ValueError) as error:
        raise VerificationError(f"the captioned image can't be read here: {error}") from None
    if size != (output["width"], output["height"]) or size != expected:
        raise VerificationError(f"the captioned image is {size}, the original {expected}")
    if hashlib.sha256(content).hexdigest() != output["sha256"]:
        raise VerificationError("the captioned image is not the one that the job wrote")


def _open(path: str) -> Image.Image:
    """Open an image and look at its header. Raises InvalidInput."""
    try:
        image = Image.open(path)
    except FileNotFoundError:
        raise InvalidInput(f"image {shown(path)} does not exist") from None
    except (UnidentifiedImageError, Image.DecompressionBombError):
        raise InvalidInput(
            f"image {shown(path)} is not an image that can be read, or is absurdly large"
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InvalidInput(f"image {shown(path)} can't be read: {why}") from None
    width, height = image.size
    if not (
        min(width, height) >= MIN_SIDE and max(width, height) <= MAX_SIDE and width * height <= MAX_PIXELS
    ):
        image.close()
        raise InvalidInput(
            f"image {shown(path)} is {width} × {height}: sides must be from {MIN_SIDE} to {MAX_SIDE:,}, "
            f"and all together at most {MAX_PIXELS:,} pixels"
        )
    return image


def _checked_output(output: str, image: str) -> Path:
    # The path comes from a client: only an image may be made or replaced by it, and not the original.
    path = Path(output).absolute()
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidInput(f"output of caption must end in {', '.join(SUFFIXES)}, not {shown(path.name)}")
    if not path.parent.is_dir() or path.is_dir():
        raise InvalidInput(
            f"output of caption can't be written: {shown(str(path))} is not in a folder that exists"
        )
    if path.resolve() == Path(image).resolve():
        raise InvalidInput("output of caption must be another file than the image")
    return path


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"{FOLDER}.{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _default_output(asked: dict[str, str]) -> Path:
    key = hashlib.sha256(f"{asked['image']}\0{asked['text']}".encode(errors="replace")).hexdigest()
    return _folder() / f"{key[:32]}.png"


def _example() -> Path:
    path = _folder() / "example.png"
    if not path.exists():
        width, height = EXAMPLE_SIZE
        across = Image.linear_gradient("L").rotate(90).resize((width, height))
        down = Image.linear_gradient("L").resize((width, height))
        round_about = Image.radial_gradient("L").resize((width, height))
        _write(Image.merge("RGB", (across, down, round_about)), path)
    return path


def _expected_size(value: Any) -> tuple[int, int]:
    if value["image"] == EXAMPLE:
        return EXAMPLE_SIZE
    with Image.open(value["image"]) as image:
        return image.size


def _draw(image: Image.Image, text: str) -> None:
    """Draw the text in white with a dark edge, wrapped to the image's width, at its foot."""
    size = max(10, image.width // 24)
    font = ImageFont.load_default(size)
    wrapped = textwrap.fill(" ".join(text.split()), width=max(1, int(image.width * 0.92 / (size * 0.55))))
    ImageDraw.Draw(image).multiline_text(
        (image.width / 2, image.height - size / 2),
        wrapped,
        font=font,
        anchor="md",
        align="center",
        fill="white",
        stroke_width=max(1, size // 12),
        stroke_fill="black",
    )


def _write(image: Image.Image, target: Path) -> str:
    """Write beside the target and rename, so that nobody reads half a file; the content's SHA-256 in hex."""
    half = target.with_name(f".{uuid.uuid4().hex}{target.suffix}")
    try:
        image.save(half)
        digest = hashlib.sha256(half.read_bytes()).hexdigest()
        half.replace(target)
    finally:
        half.unlink(missing_ok=True)
    return digest
