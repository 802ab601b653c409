"""One host that is broker, results and worker: the rung of the Foundations path. What it holds is environments/single-node.yaml."""

from celerylab.components import run_program

run_program()
