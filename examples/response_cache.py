"""A response cache: a model is asked once what means the same.

    python response_cache.py

Run it twice: the second run asks nothing, since the answers are in ./response_cache_db.
"""

from __future__ import annotations

import prestige

asked: list[str] = []


def ask_model(question: str) -> str:
    """Stand for a call that costs time and money."""
    asked.append(question)
    return f"An answer to: {question}"


def main() -> None:
    """Ask for two tenants, in several wordings."""
    with prestige.SemanticCache("./response_cache_db", price_per_call=0.01) as cache:

        @cache.cached(scope="tenant")
        def answer(question: str, tenant: str) -> str:
            return ask_model(f"{question} ({tenant})")

        print(answer("How do I reset my password?", tenant="acme"))
        print(answer("How can I reset my password?", tenant="acme"))  # the answer to the first
        print(answer("How can I reset my password?", tenant="zoo"))  # never that of another tenant

        # By hand, where the hit is to be looked at.
        cache.put("Please cancel order 1041", "Order 1041 is cancelled.", ttl_seconds=3600)
        hit = cache.get("Please cancel order 1042", threshold=0.9)
        if hit is not None:
            print(f"similarity {hit.similarity:.2f}, but another order: {hit.query}")
        print(f"asked {len(asked)} times, saved {cache.stats()['money_saved']:.2f}")


if __name__ == "__main__":
    main()
