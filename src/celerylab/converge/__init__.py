"""Runs Ansible roles on one host, in a fork of a process that has Ansible imported."""
