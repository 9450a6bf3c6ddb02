"""What the browser loads from this server: Plotly, the scripts of our components, the pendulum's sheet of frames."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import io
import tempfile
from pathlib import Path
from typing import Final

from ddpg_core.frames import pendulum_sheet

_STATIC: Final = Path(__file__).parents[2] / "static"
_SCRIPTS: Final = Path(__file__).parent / "assets"


def _serve(name: str, data: bytes) -> str:
    """Put a file into `static/`, whole or not at all; its URL relative to the app's root."""
    path = _STATIC / name
    if not path.exists() or path.stat().st_size != len(data):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
    return f"app/static/{name}"


@functools.cache
def script(name: str) -> str:
    """URL of `assets/<name>.js`; its folder is named after the content, so that no browser keeps an old one."""
    scripts = {path.name: path.read_bytes() for path in sorted(_SCRIPTS.glob("*.js"))}
    version = hashlib.sha256(b"".join(scripts.values())).hexdigest()[:12]
    for file, data in scripts.items():
        _serve(f"{version}/{file}", data)
    return f"app/static/{version}/{name}.js"


@functools.cache
def plotly() -> str:
    """URL of the plotly.js that ships inside the plotly package."""
    package = importlib.util.find_spec("plotly")
    assert package is not None
    assert package.origin is not None
    return _serve("plotly.min.js", (Path(package.origin).parent / "package_data" / "plotly.min.js").read_bytes())


@functools.cache
def sheet() -> str:
    """URL of the sheet of pendulum frames."""
    from PIL import Image

    picture = io.BytesIO()
    Image.fromarray(pendulum_sheet()).save(picture, "PNG")
    return _serve(f"pendulum-{hashlib.sha256(picture.getvalue()).hexdigest()[:12]}.png", picture.getvalue())
