"""Fixed Hypothesis profiles, chosen by HYPOTHESIS_PROFILE.

`ci` is fast and repeatable, and what runs by default; `brief` is for one more version of Python; `deep` is for nights.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("ci", deadline=None, derandomize=True, max_examples=200, database=None)
settings.register_profile("brief", settings.get_profile("ci"), max_examples=20)
settings.register_profile(
    "deep", deadline=None, max_examples=20_000, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
