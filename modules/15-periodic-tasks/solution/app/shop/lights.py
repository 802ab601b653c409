"""When the lights of the shop go on: at sunset, in San Francisco."""

from celery.schedules import solar

from shop.celery import app

LATITUDE, LONGITUDE = 37.77, -122.42  # west of Greenwich is negative

sunset = solar("sunset", LATITUDE, LONGITUDE, app=app)
