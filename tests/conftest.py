"""Settings of every test."""

from hypothesis import HealthCheck, settings

# Cores are shared: how long an example takes says nothing about the code.
settings.register_profile("lab", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lab")
