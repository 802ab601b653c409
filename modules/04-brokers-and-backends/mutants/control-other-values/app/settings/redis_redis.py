"""Broker Redis, results in Redis."""

import os

from settings.common import *  # noqa: F403

# Messages in the Redis on this host, results in the one on store-1.
broker_url = os.environ["LAB_BROKER_URL"]
result_backend = os.environ["LAB_STORE_URL"]
task_default_queue = "orders"

broker_transport_options = {
    # A message that is not acknowledged in time is given to the next worker: longer than the longest task and the longest ETA.
    "visibility_timeout": 60,  # seconds
    # How often a worker looks for such messages: every second, and not only at every tenth time.
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    # A server that does not answer is an error after this time, for workers and for those who send.
    "socket_timeout": 5,  # seconds
    "socket_connect_timeout": 3,
}
