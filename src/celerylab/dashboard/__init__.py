"""A page that draws the panels of manifests/dashboards/ from a stack's Prometheus, without Grafana."""
