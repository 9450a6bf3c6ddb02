"""The dashboard's entry: page settings, the session's Lab, and the frame around every page."""

from __future__ import annotations

import streamlit as st

from pages.ui.frame import draw_sidebar, draw_transport
from pages.ui.live import usher
from pages.ui.session import current_lab, registry, warm_up
from pages.ui.share_open import open_link

PAGES = {
    "home": ("Home", ":material/home:"),
    "train": ("Train", ":material/show_chart:"),
    "pendulum": ("Pendulum", ":material/movie:"),
    "exploration": ("Exploration", ":material/explore:"),
    "replay": ("Replay", ":material/history:"),
    "critic": ("Critic", ":material/grid_on:"),
    "update": ("One update", ":material/biotech:"),
    "forgetting": ("Forgetting", ":material/psychology_alt:"),
    "compare": ("Compare", ":material/compare_arrows:"),
    "export": ("Export", ":material/ios_share:"),
}

st.set_page_config(page_title="DDPG Lab", page_icon="pages/ui/assets/icon.svg", layout="wide")
pages = [
    st.Page(f"pages/{name}_page.py", title=title, icon=icon, url_path=name, default=name == "home")
    for name, (title, icon) in PAGES.items()
]
page = st.navigation(pages, position="top")
first_visit = len(registry()) == 0
warm_up()
lab = current_lab()
open_link(lab)
draw_sidebar(lab, pages, page)
draw_transport(lab)
usher(page.url_path, first_visit=first_visit)
page.run()
