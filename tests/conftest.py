"""Fixed Hypothesis profiles, chosen by HYPOTHESIS_PROFILE.

`ci` is fast and repeatable, and what runs by default; `brief` is for one more version of Python; `mutants` for mutation
testing; `deep` is for nights. With HYPOTHESIS_REDIS, the address of a Redis server, what `deep` finds is shared by all who
run it with the same.
"""

from __future__ import annotations

import os
import signal
from hashlib import sha256

from hypothesis import Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase, MultiplexedDatabase


def example_database(address: str | None) -> ExampleDatabase:
    """The database of examples: the directory of this machine, and the Redis server at an address if there is one."""
    here = DirectoryBasedExampleDatabase(".hypothesis/examples")
    if address is None:
        return here
    from hypothesis.extra.redis import RedisExampleDatabase
    from redis import Redis

    return MultiplexedDatabase(here, RedisExampleDatabase(Redis.from_url(address), key_prefix=b"hgproto:"))


settings.register_profile("ci", deadline=None, derandomize=True, max_examples=100, database=None)
settings.register_profile("brief", settings.get_profile("ci"), max_examples=20)
# What fails is not made smaller: a mutant is dead, and nobody looks at how.
settings.register_profile("mutants", settings.get_profile("brief"), phases=(Phase.explicit, Phase.generate))
settings.register_profile(
    "deep",
    deadline=None,
    max_examples=20_000,
    database=example_database(os.environ.get("HYPOTHESIS_REDIS")),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


LONGEST_ID = 60
"""Characters of a parameter's id. The oldest supported pytest puts whole values into ids, and ids into the environment."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names a long text or byte string by its parameter and a digest; pytest names everything else."""
    if isinstance(val, str | bytes) and len(val) > LONGEST_ID:
        digest = sha256(val.encode("utf-8", "surrogatepass") if isinstance(val, str) else val).hexdigest()
        return f"{argname}-{digest[:12]}"
    return None


# A shell that starts the tests in the background may have these signals ignored, and every process would inherit that.
for _number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)
