"""Code that does not care where the store is: in this process, or on a server.

    python either_store.py

``prestige.StoreProtocol`` is what ``prestige.open`` and ``prestige.connect`` have in common; type
checkers know it, so an application can be written once and decide with one line.
"""

from __future__ import annotations

import asyncio

import prestige


def sign_in(store: prestige.StoreProtocol) -> int:
    """Note some sessions, which end by themselves."""
    return store.put_many({"anna": "guest", "ben": "guest", "cleo": "admin"}, ttl_seconds=3600)


async def distinct(store: prestige.StoreProtocol) -> int:
    """Count the roles."""
    return len({role async for _, role in store.aitems()})


def report(name: str, store: prestige.StoreProtocol) -> None:
    """Do the same with either."""
    print(f"{name}: {sign_in(store)} sessions, {asyncio.run(distinct(store))} distinct")


def main() -> None:
    """Work on a store, and on the same one through a client."""
    with prestige.open("./either_store_db") as store:
        report("embedded", store)
        with store.serve() as server, prestige.connect(server.url) as client:
            report("served", client)


if __name__ == "__main__":
    main()
