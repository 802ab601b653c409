"""A Kubernetes cluster that many stacks share. What it holds is environments/cluster.yaml."""

from celerylab.components.cluster import run_cluster_program

run_cluster_program()
