"""Runs Ansible roles on one host through ansible-runner."""
