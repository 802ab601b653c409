"""Strategy `mitogen_unpinned` of Ansible: mitogen's linear one, without its pinning of processes to processors.

mitogen keeps the first processor for its multiplexer and pins the rest of a run to the others. Runs at a time then wait for one another: on a
machine with two processors, all of them share one.
"""

import ansible_mitogen.affinity
import ansible_mitogen.loaders
import ansible_mitogen.strategy

ansible_mitogen.affinity.policy = ansible_mitogen.affinity.Policy()
Base = ansible_mitogen.loaders.strategy_loader.get("linear", class_only=True)


class StrategyModule(ansible_mitogen.strategy.StrategyMixin, Base):  # type: ignore[misc, valid-type]
    """What Ansible's loader looks for."""
