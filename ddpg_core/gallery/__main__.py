"""`python -m ddpg_core.gallery`: train the policies of the gallery and write their files."""

from __future__ import annotations

from ddpg_core import policy_file
from ddpg_core.checkpoint import write_whole
from ddpg_core.gallery import PIECES, path_of
from ddpg_core.policy import file_stem


def main() -> None:
    """Train and write all of them."""
    for name, piece in PIECES.items():
        policy = piece.train()
        write_whole(path_of(name), policy_file.to_bytes(policy))
        print(f"{path_of(name).name}: {file_stem(policy)}")


if __name__ == "__main__":
    main()
