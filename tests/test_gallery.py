from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ddpg_core import policy_file
from ddpg_core.config import PRESETS
from ddpg_core.gallery import PIECES, gallery, path_of
from ddpg_core.gallery import __main__ as command
from ddpg_core.metrics import evaluate
from ddpg_core.policy import STARTS, STARTS_SEED


@pytest.mark.parametrize("name", PIECES)
def test_policies_are_of_the_runs_they_are_said_to_be_of(name: str) -> None:
    piece, card = PIECES[name], gallery()[name].card
    recipe = card.recipe
    assert (recipe.seed, recipe.interventions) == (piece.seed, ())
    assert recipe.config.difference(PRESETS[piece.preset]).keys() <= {"engine"}
    assert (card.episode, card.env_steps) == (piece.episode, 200 * piece.episode)


@pytest.mark.parametrize("name", PIECES)
def test_policies_are_as_good_as_their_cards_say(name: str) -> None:
    policy = gallery()[name]
    found = evaluate(policy, policy.card.config, STARTS, STARTS_SEED).summary()
    for measure in ("return_mean", "return_std", "regret_mean"):
        assert found[measure] == pytest.approx(policy.card.evaluation[measure], abs=2)


def test_the_trained_swing_up_and_the_half_way_does_from_some_starts() -> None:
    means = {name: policy.card.evaluation["return_mean"] for name, policy in gallery().items()}
    assert means["fast"] > -180
    assert means["small"] > -180
    assert -1000 < means["halfway"] < -400
    policy = gallery()["halfway"]
    returns = evaluate(policy, policy.card.config, STARTS, STARTS_SEED).returns
    assert (returns > -400).sum() >= 3
    assert (returns < -700).sum() >= 3


def test_training_a_piece_again_gives_one_as_good() -> None:
    policy = PIECES["fast"].train()
    assert policy.card.recipe == gallery()["fast"].card.recipe
    assert policy.card.evaluation["return_mean"] == pytest.approx(
        gallery()["fast"].card.evaluation["return_mean"], abs=40
    )


def test_files_are_small() -> None:
    assert all(path_of(name).stat().st_size < 40_000 for name in PIECES)


def test_command_writes_the_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ddpg_core.gallery.__main__.path_of", lambda name: tmp_path / f"{name}.safetensors")
    monkeypatch.setattr("ddpg_core.gallery.Piece.train", lambda piece: gallery()["small"])
    command.main()
    assert {path.stem for path in tmp_path.iterdir()} == set(PIECES)
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(
            policy_file.from_bytes(path.read_bytes()).parameters, gallery()["small"].parameters
        )
    assert capsys.readouterr().out.count("textbook-seed1-episode40-return-") == 3
