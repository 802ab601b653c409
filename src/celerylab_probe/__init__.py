"""Tasks that observe a worker, and the client of the ledger. Needs Celery and the standard library alone."""
