"""The Ray cluster: reaching it, and placing workers on its nodes."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from callsmith.errors import DataError, Unavailable, describe
from callsmith.executors import MakerSpec
from callsmith_ray.worker import ChainWorker

KNOCKING = 5.0
"""Seconds within which a cluster's head must take a connection."""


@contextmanager
def connected(address: str) -> Iterator[None]:
    """With a connection to the cluster; one that was there before stays when this one ends.

    Raises Unavailable if the cluster can't be reached.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS", "")
    _knock(address)
    # Ray would send statistics home, and its workers' logs to this terminal.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(
            address=address or None,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:
        where = f"at {address}" if address else "here"
        raise Unavailable(
            f"there is no Ray cluster {where} that can be used: {describe(error)}"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def place_workers(
    count: int | None, cpus: float, gpus: float, most: int | None, spec: MakerSpec
) -> list[Any]:
    """Actors of `ChainWorker`, spread over the nodes: ``count``, by default all that fit.

    That is one on every node, or one for every ``gpus``; ``most`` bounds both. Raises DataError
    if no node is large enough.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    fitting = [
        resources
        for resources in nodes
        if resources.get("CPU", 0) >= cpus and resources.get("GPU", 0) >= gpus
    ]
    if not fitting:
        raise DataError(
            f"no node of the Ray cluster has the {cpus:g} CPUs and {gpus:g} GPUs that a worker "
            "reserves: ask for less with cpus= and gpus="
        )
    if count is None:
        count = sum(int(node["GPU"] // gpus) if gpus else 1 for node in fitting)
    if most is not None:
        count = min(count, most)
    actor = ray.remote(ChainWorker).options(
        num_cpus=cpus, num_gpus=gpus, scheduling_strategy="SPREAD"
    )
    folder = str(Path.cwd())
    return [actor.remote(spec, folder) for _ in range(count)]


def _knock(address: str) -> None:
    """Look whether somebody listens at ``host:port``: Ray itself tries for minutes, then exits."""
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdecimal()) or "/" in host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=KNOCKING).close()
    except OSError as error:
        raise Unavailable(
            f"no Ray cluster answers at {address} ({describe(error)}): on its head node, "
            "ray start --head says the address"
        ) from error
