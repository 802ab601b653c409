"""Sites with a broker, data and workers each, and the link between them: the Production path. Their data: environments/multi-region.yaml."""

from celerylab.components import run_program

run_program()
