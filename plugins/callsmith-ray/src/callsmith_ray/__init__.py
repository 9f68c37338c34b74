"""Rollouts on a Ray cluster: ``callsmith teach … --executor ray``.

`executor.RayExecutor` is the driver's side, `worker.ChainWorker` what runs on the nodes.
"""
