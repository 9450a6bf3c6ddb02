"""DDPG Lab's core: a DDPG agent, its environment, its logs. Knows no browser."""
