"""Queries that the tests of the semantic cache share: two of one meaning, and another one."""

RESET = "How do I reset my password?"
RESET_AGAIN = "How can I reset my password?"
ORDER = "Where is my order?"
