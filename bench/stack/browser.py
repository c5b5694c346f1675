"""An installed Chromium, which the tests of the report's page drive."""

import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = (
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
)


def find() -> Path | None:
    """Return a Chromium that takes arguments as usual.

    Ubuntu's package is a stub around a snap, which needs a daemon and can't read files outside the home
    folder.
    """
    for name in NAMES:
        found = shutil.which(name)
        if found is not None and not _is_snap(Path(found)):
            return Path(found)
    return next((path for path in MAC if path.exists()), None)


def _is_snap(path: Path) -> bool:
    if "snap" in path.resolve().parts:
        return True
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError:
        return True
    return start.startswith(b"#!") and b"snap" in start
