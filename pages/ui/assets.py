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
        _STATIC.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=_STATIC, delete=False) as file:
            file.write(data)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
    return f"app/static/{name}"


@functools.cache
def script(name: str) -> str:
    """URL of `assets/<name>.js`; changes with its content, so that no browser keeps an old one."""
    data = (_SCRIPTS / f"{name}.js").read_bytes()
    return _serve(f"{name}-{hashlib.sha256(data).hexdigest()[:12]}.js", data)


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
