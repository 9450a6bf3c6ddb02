from __future__ import annotations

import functools
import importlib.util
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpg_core.frames import pendulum_sheet
from pages.ui import assets, live

SOURCES = Path(assets.__file__).parent / "assets"
SCRIPTS = sorted(SOURCES.glob("*.js"))
SVG_NAMESPACE = "http://www.w3.org/2000/svg"


def forget() -> None:
    for made in (assets.script, assets.plotly, assets.sheet):
        made.cache_clear()


@pytest.fixture
def static(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to serve from; `static / "…"` is what `app/static/…` shows to a browser."""
    monkeypatch.setattr(assets, "_STATIC", tmp_path / "static")
    forget()
    yield tmp_path / "static"
    forget()


def served(static: Path, url: str) -> Path:
    assert url.startswith("app/static/"), "relative to the app's root, wherever that is mounted"
    return static / url.removeprefix("app/static/")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_is_served_as_it_is_beside_everything_it_imports(static: Path, path: Path) -> None:
    file = served(static, assets.script(path.stem))
    assert file.read_bytes() == path.read_bytes()
    for module in re.findall(r"""(?:from|import)\s*\(?['"](.+?)['"]""", path.read_text(errors="replace")):
        assert (file.parent / module).is_file(), module


def test_address_of_a_script_changes_with_the_content_of_any_script(
    static: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = tmp_path / "scripts"
    sources.mkdir()
    (sources / "shared.js").write_text("export const one = 1")
    (sources / "film.js").write_text("import {one} from './shared.js'")
    monkeypatch.setattr(assets, "_SCRIPTS", sources)
    address = functools.partial(assets.script.__wrapped__, "film")
    before = address()
    assert address() == before
    (sources / "shared.js").write_text("export const one = 2")
    after = address()
    assert after != before
    for url, text in ((before, "one = 1"), (after, "one = 2")):
        assert text in (served(static, url).parent / "shared.js").read_text()


def test_plotly_is_the_one_that_its_package_ships(static: Path) -> None:
    spec = importlib.util.find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    shipped = Path(spec.origin).parent / "package_data" / "plotly.min.js"
    assert served(static, assets.plotly()).read_bytes() == shipped.read_bytes()


def test_sheet_is_served_as_a_picture_without_loss(static: Path) -> None:
    picture = Image.open(io.BytesIO(served(static, assets.sheet()).read_bytes()))
    assert picture.format == "PNG"
    np.testing.assert_array_equal(np.asarray(picture), pendulum_sheet())


def test_a_file_cut_short_is_served_anew_and_nothing_else_is_left_behind(static: Path) -> None:
    file = served(static, assets.script("film"))
    file.write_bytes(b"cut")
    forget()
    assert served(static, assets.script("film")).read_bytes() == (SOURCES / "film.js").read_bytes()
    assert {path.name for path in file.parent.iterdir()} == {path.name for path in SCRIPTS}


@pytest.mark.parametrize("path", sorted(SOURCES.iterdir()), ids=lambda path: path.name)
def test_nothing_is_fetched_from_the_web(path: Path) -> None:
    text = path.read_text(errors="replace").replace(SVG_NAMESPACE, "")
    assert not re.findall(r"(?:https?:|wss?:)//\S*|['\"(]//\w\S*", text)


def test_what_the_browser_is_given_to_load_lies_on_this_server() -> None:
    assert not re.findall(r"https?://|['\"(]//\w", live._LOADER)
