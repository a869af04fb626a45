"""What is measured of the service, beside what, and what is wanted of it."""

from __future__ import annotations

from dataclasses import replace

from measures import Experiment, Kind, Measure
from workers.job import Job

KEYS = 100_000
QUICK_KEYS = 10_000
ROUNDS = 3
QUICK_ROUNDS = 2


def experiments(keys: int = KEYS) -> list[Experiment]:
    """All of them; a request for each key, and fewer texts, since a model computes them as well."""
    own = Job("prestige", "http_get", keys)
    texts = replace(own, task="http_embeddings", keys=max(64, keys // 50))
    wire = replace(own, task="http_get_many", keys=max(1000, keys // 5))
    return [
        Experiment(
            "get",
            own,
            replace(own, task="http_constant"),
            (Measure("GET, 32 connections", "requests", Kind.SPEED, 0.7, "a constant"),),
        ),
        Experiment(
            "put",
            replace(own, task="http_put"),
            replace(own, task="put_get"),
            (
                Measure(
                    "PUT of unique values, 32 connections",
                    "requests",
                    Kind.SPEED,
                    0.3,
                    "put in the process",
                    "put",
                ),
            ),
        ),
        Experiment(
            "embeddings",
            texts,
            None,
            (
                Measure(
                    "/v1/embeddings, warm, 64 texts a request",
                    "warm",
                    Kind.SPEED,
                    20.0,
                    "the model in the process",
                    "model",
                ),
            ),
        ),
        Experiment(
            "get_many",
            wire,
            None,
            (
                Measure(
                    "get_many of 1,000 over HTTP", "many", Kind.SPEED, 30.0, "single gets", "single"
                ),
            ),
        ),
    ]
