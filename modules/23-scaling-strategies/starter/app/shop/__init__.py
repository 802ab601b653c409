"""Background work of the shop: orders and their pictures."""

from shop import drill  # so that `celery control` knows its command, as workers do
from shop.celery import app

__all__ = ["app", "drill"]
