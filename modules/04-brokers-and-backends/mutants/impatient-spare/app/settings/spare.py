"""The spare worker: as redis_redis, and quick to help out."""

from settings.redis_redis import *  # noqa: F403
from settings.redis_redis import broker_transport_options as usual

broker_transport_options = {**usual, "visibility_timeout": 3}
