"""The Critic page for environments other than the pendulum: no physics to roll out, no grid to solve, yet a critic."""

from __future__ import annotations

from typing import Final

import numpy as np

from ddpg_core.probes import q_map
from pages.ui.buffer import SPACES
from pages.ui.charts import inside_charts
from pages.ui.critic import Belief, cut_of_action
from pages.ui.critic_charts import MAP_PX, cut_charts
from pages.ui.critic_study import cut_scales
from pages.ui.curves import Curve
from pages.ui.live import Figure
from pages.ui.maps import heat_map
from pages.ui.scales import ends, steady
from pages.ui.theme import VALUES, layout

_POINTS: Final = 61
_LIMIT: Final = 1.0
"""Of the car's engine."""


def elsewhere_charts(belief: Belief, curve: Curve, cursor: int | None) -> list[Figure]:
    """What can be shown of a car's critic: all states, what it promised and what came, actions in the last state."""
    panels = {figure["layout"]["title"]["text"]: figure for figure in inside_charts(curve, cursor)}
    figures = [car_map(belief), panels["Q against realised return"]]
    if len(belief.obs):
        cut = cut_of_action(belief, belief.obs[-1], _LIMIT)
        figures += cut_charts(cut, *cut_scales(cut), action="force in the last state")
    for figure in figures:
        figure["layout"]["height"] = MAP_PX
    return figures


def car_map(belief: Belief) -> Figure:
    """The critic's values over position and velocity, at the policy's action."""
    space, moment = SPACES[belief.moment.config.env_id], belief.moment
    ticks = (np.linspace(*limits, _POINTS) for limits in zip(space.low, space.high, strict=True))
    obs = np.stack(np.meshgrid(*ticks), axis=-1).astype(np.float32)
    with np.errstate(all="ignore"):
        actions = belief.actor_net.numpy(moment.actor, obs.reshape(-1, 2)).reshape(obs.shape[:-1])
        actions = np.clip(actions * moment.action_scale[0], -_LIMIT, _LIMIT)
    values = q_map(belief.critic_net, moment.critic, obs, actions)
    (left, bottom), (right, top) = space.low, space.high
    figure = heat_map(
        values,
        "Learned: what the critic says",
        VALUES,
        steady(None, *ends([values])),
        x0=left,
        dx=(right - left) / (_POINTS - 1),
        y0=bottom,
        dy=(top - bottom) / (_POINTS - 1),
        hovertemplate="%{x:.2f}, %{y:.3f}: %{z:.3g}<extra></extra>",
    )
    figure["layout"] = layout(
        "Learned: what the critic says of the policy's action",
        space.across,
        space.up,
        hovermode="closest",
        xaxis={"range": [left, right], "showgrid": False},
        yaxis={"range": [bottom, top], "showgrid": False},
    )
    return figure
