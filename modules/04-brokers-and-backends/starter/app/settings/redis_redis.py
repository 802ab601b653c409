"""Broker Redis, results in Redis."""

import os

from settings.common import *  # noqa: F403

# Redis on this host: messages in its database 0, results in its database 1.
broker_url = os.environ["LAB_BROKER_URL"]
result_backend = os.environ["LAB_RESULT_URL"]

broker_transport_options = {
    # A message that is not acknowledged in time is given to the next worker.
    "visibility_timeout": 3,  # seconds
    # How often a worker looks for such messages: every second, and not only at every tenth time.
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}
