"""caption: text lands on the image, and nothing but an image is read or written."""

import hashlib
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from workloads import InvalidInput, VerificationError, load_task


@pytest.fixture(autouse=True)
def _temporary(tmp_path, monkeypatch):
    """The task's temporary folder is this test's own."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


@pytest.fixture
def photo(tmp_path) -> Path:
    """A small grey image."""
    path = tmp_path / "photo.png"
    Image.new("RGB", (320, 200), "grey").save(path)
    return path


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_the_text_is_drawn_at_the_foot_of_a_copy(photo, suffix):
    """The upper half stays as it was, the lower half shows something, the original is untouched."""
    task = load_task("caption")
    original = photo.read_bytes()
    target = photo.with_name(f"captioned{suffix}")
    given = {"image": str(photo), "text": "words", "output": str(target)}
    output = task.run(given)
    task.verify(given, output)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    assert output == {"path": str(target), "width": 320, "height": 200, "sha256": digest}
    assert photo.read_bytes() == original
    with Image.open(photo) as before, Image.open(target) as after:
        changed = ImageChops.difference(before.convert("L"), after.convert("L")).point(
            lambda v: 255 * (v > 40)
        )
    left, top, right, bottom = changed.getbbox()
    assert top > 100
    assert bottom <= 200
    assert 0 < left < right < 320
    assert files(photo.parent) == {"photo.png", target.name}, "no half-written file stays"


def test_without_an_output_repeats_of_a_job_share_one_file_in_the_temporary_folder(photo):
    """A thousand jobs of a trial leave one file, and it is right for each of them."""
    task = load_task("caption")
    given = {"image": str(photo), "text": "words"}
    first, second = task.run(given), task.run(given)
    assert first == second
    task.verify(given, first)
    other = task.run({"image": str(photo), "text": "other words"})
    assert other["path"] != first["path"]
    assert len(files(photo.parent / "temporary")) == 2


def test_a_relative_path_is_made_whole_where_the_input_is_checked(photo, monkeypatch):
    """The server that runs the job has another current directory."""
    monkeypatch.chdir(photo.parent)
    checked = load_task("caption").check({"image": "photo.png", "text": "x", "output": "out.png"})
    assert checked == {"image": str(photo), "text": "x", "output": str(photo.parent / "out.png")}


def test_long_text_is_wrapped_and_odd_characters_do_not_stop_it(photo):
    """Whatever text a user sends, within the limit."""
    task = load_task("caption")
    for text in ("word " * 90, "x" * 500, "\U0001f600 ✓ \ud800", "two\nlines\t"):
        given = {"image": str(photo), "text": text}
        task.verify(given, task.run(given))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"image": "{tmp}/gone.png"}, "does not exist"),
        ({"image": "{tmp}"}, "can't be read"),
        ({"image": "{tmp}/text.png"}, "not an image that can be read"),
        ({"image": "{tmp}/empty.png"}, "not an image that can be read"),
        ({"image": "{tmp}/tiny.png"}, "2 × 2: sides must be from 16"),
        ({"image": "{tmp}/long.png"}, "30000 × 20: sides must be from 16"),
        ({"image": "{tmp}/" + "x" * 5000}, "can't be read"),
        ({"image": ""}, "can't be read"),
        ({"image": 5}, "image of caption must be text, not 5"),
        ({"image": "a\0b"}, "image of caption must be text"),
        ({"text": ""}, "from 1 to 500 characters"),
        ({"text": " \n"}, "from 1 to 500 characters"),
        ({"text": "x" * 501}, "from 1 to 500 characters"),
        ({"text": None}, "text of caption must be text, not null"),
        ({"output": "{tmp}/notes.txt"}, "must end in .png"),
        ({"output": "{tmp}/gone/out.png"}, "not in a folder that exists"),
        ({"output": "{tmp}/photo.png"}, "another file than the image"),
        ({"output": 5}, "output of caption must be text"),
        ({"size": 5}, "unknown field 'size'"),
    ],
)
def test_an_input_that_cannot_work_is_refused_before_the_job(photo, change, why):
    """With one line that names the file or the field."""
    folder = photo.parent
    (folder / "text.png").write_text("no image")
    (folder / "empty.png").touch()
    Image.new("RGB", (2, 2)).save(folder / "tiny.png")
    Image.new("1", (30_000, 20)).save(folder / "long.png")
    change = {k: v.replace("{tmp}", str(folder)) if isinstance(v, str) else v for k, v in change.items()}
    with pytest.raises(InvalidInput) as caught:
        load_task("caption").check({"image": str(photo), "text": "x", **change})
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_image_damaged_behind_its_header_is_an_invalid_input_too(photo):
    """Only running finds it; nothing is left of the attempt."""
    Image.effect_noise((320, 200), 50).save(photo)
    photo.write_bytes(photo.read_bytes()[:5_000])
    with pytest.raises(InvalidInput, match="is damaged"):
        load_task("caption").run({"image": str(photo), "text": "x"})
    assert files(photo.parent) == {"photo.png"}


def test_a_result_that_is_not_the_captioned_image_does_not_verify(photo):
    """Missing, replaced, of another size, or not told at all."""
    task = load_task("caption")
    given = {"image": str(photo), "text": "x", "output": str(photo.with_name("out.png"))}
    right = task.run(given)
    for wrong in (None, {}, {**right, "path": "/nowhere/x.png"}, {**right, "path": 5}, {**right, "width": 1},
                  {**right, "sha256": "0"}):  # fmt: skip
        with pytest.raises(VerificationError):
            task.verify(given, wrong)
    Image.new("RGB", (20, 20)).save(right["path"])
    with pytest.raises(VerificationError):
        task.verify(given, right)
