"""A Ray cluster of several nodes on this machine, for as long as these tests run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

MEMORY = 80 * 2**20
"""Bytes of each node's object store: the least that Ray takes."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A head without CPUs, so without workers, and two nodes; this process is connected to it."""
    # Ray gives its workers the lowest priority but a few: on a busy machine they would starve.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    import ray
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        made.add_node(num_cpus=2, object_store_memory=MEMORY)
    ray.init(address=made.address, log_to_driver=False, logging_level="error")
    yield made
    ray.shutdown()
    made.shutdown()
