"""The timed work, one process a job: `python -m workers JOB` in the folder above.

# Layout

- `job`: what a process is asked to do, and what it answers
- `tasks`: the work, the same for every store; `text_tasks`, `vector_tasks` and `cache_tasks`: that
  of the semantic stage
- `task_names`: where each task is
- `sentences`, `vectors`: what the semantic stage works on
- `measuring`: clocks, memory and disk
- `adapter`: what the work asks of a store; beside it a module for each store

Only the module of a store imports that store, so that each interpreter needs only its own packages.
"""
