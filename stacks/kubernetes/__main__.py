"""A namespace on a Kubernetes cluster, with a broker and the lab's own manifests: the Advanced path. Its data: environments/kubernetes.yaml."""

from celerylab.components.kubernetes_lab import run_kubernetes_program

run_kubernetes_program()
