"""Infrastructure-as-code teaching environments for Celery: see docs/architecture.md."""

from importlib.metadata import version

__version__ = version("celerylab")
