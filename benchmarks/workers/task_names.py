"""Where each task is. Modules are imported when needed: interpreters differ in packages."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

STORE_TASKS = (
    "put_get",
    "put_get_batches",
    "get_threads",
    "put_duplicates",
    "get_hot",
    "probe_large",
    "sweep",
    "memory",
    "disk",
)
TASKS = {
    **dict.fromkeys(STORE_TASKS, "tasks"),
    **dict.fromkeys(("embed_sentences", "put_texts", "spearman", "same_vector"), "text_tasks"),
    **dict.fromkeys(
        (
            "fill_vectors",
            "fill_graph",
            "search",
            "recall",
            "near_duplicates",
            "reopen",
            "index_memory",
            "put_beside_checkpoint",
        ),
        "vector_tasks",
    ),
    **dict.fromkeys(("responses", "warm_embeddings"), "cache_tasks"),
    **dict.fromkeys(
        ("http_get", "http_constant", "http_put", "http_embeddings", "http_get_many"), "http_tasks"
    ),
}
"""Module of each task, a function of the same name."""


def task_of(name: str) -> Callable[[Any], dict[str, float]]:
    """The function of a task: from a `workers.tasks.Work` to figures by name."""
    module = import_module(f"workers.{TASKS[name]}")
    task: Callable[[Any], dict[str, float]] = getattr(module, name)
    return task
