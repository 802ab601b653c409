"""Background work of the shop: pictures of its products."""

from shop import drill  # so that `celery control` knows its command, as workers do
from shop.celery import app

__all__ = ["app", "drill"]
