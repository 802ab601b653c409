"""Broker, data, beats, workers and monitoring on hosts of their own: the Intermediate path. What they hold is environments/multi-worker.yaml."""

from celerylab.components import run_program

run_program()
