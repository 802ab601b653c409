"""Settings of the shop's Celery application (lower-case names, see docs.celeryq.dev, "Configuration and defaults")."""

import os
import ssl

# The password comes from /etc/celery/celery.env, which only root and the worker's group can read.
if os.environ["LAB_BROKER"] == "rabbitmq":
    broker_url = f"amqps://celery:{os.environ['LAB_BROKER_PASSWORD']}@node-1:5671//"
    broker_use_ssl = {"ca_certs": "/etc/tls/ca.crt", "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": "node-1"}
    result_backend = "rpc://"
else:
    broker_url = f"rediss://celery:{os.environ['LAB_BROKER_PASSWORD']}@node-1:6380/0"
    # Without ssl_cert_reqs kombu encrypts, and talks to anybody who answers.
    broker_use_ssl = {"ssl_ca_certs": "/etc/tls/ca.crt", "ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    result_backend = f"rediss://celery:{os.environ['LAB_BROKER_PASSWORD']}@node-1:6380/1"
    redis_backend_use_ssl = broker_use_ssl

broker_connection_retry_on_startup = True

# Every task carries a signature, and a worker reads nothing else. shop/celery.py calls setup_security().
task_serializer = "auth"
event_serializer = "auth"
accept_content = ["auth"]
security_key = "/etc/tls/worker.key"
security_certificate = "/etc/tls/worker.crt"
security_cert_store = "/etc/tls/trusted/*.crt"
security_digest = "sha256"  # as the other signers do

# Results are read by callers that have no certificate.
result_serializer = "json"
result_accept_content = ["json"]

timezone = "UTC"
result_expires = 3600  # seconds
worker_concurrency = 2  # processes that run tasks at the same time

worker_log_format = "[%(levelname)s/%(processName)s] %(message)s"  # the journal has the time already
worker_task_log_format = "[%(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"
