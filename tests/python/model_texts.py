"""Texts for comparing models: varied in subject, length, script and form."""

from __future__ import annotations

import itertools

PEOPLE = ["A doctor", "My neighbour", "The tired driver", "Nobody", "Every student"]
ACTIONS = [
    "explains how the engine works",
    "is looking for a cheaper flight to Lisbon",
    "forgot the password of the shared account",
    "cannot open the attachment",
    "sold 4,250 shares at $17.35",
    "plays the violin in a small orchestra",
    "has never seen snow",
]
PLACES = ["in the kitchen", "near the old harbour", "during the meeting", "at 6:30 a.m."]
PRODUCTS = ["the invoice", "my subscription", "a damaged parcel", "two-factor login", "the API key"]
QUESTIONS = [
    "How do I cancel {}?",
    "Why was I charged twice for {}?",
    "where can i find {}",
    "Please help me with {}, it is urgent!",
    "{} stopped working after the update",
    "What happens to {} if I move to another country?",
]
SUBJECTS = ["photosynthesis", "inflation", "the Roman Senate", "gradient descent", "sourdough"]
STATEMENTS = [
    "In 1998, {} was discussed by more than 300 experts in Geneva.",
    "Explain {} to a ten-year-old in three sentences.",
    "The difference between {} and {} is smaller than it seems.",
    "Write a haiku about {}.",
    "I do not agree that {} is overrated.",
    "{}: a short history",
]
CODE = [
    "for (int i = 0; i < n; ++i) { sum += a[i]; }",
    "SELECT name, COUNT(*) FROM users GROUP BY name HAVING COUNT(*) > 1;",
    "def f(x): return [y**2 for y in x if y % 2]",
    'fn main() { println!("{:?}", std::env::args()); }',
    "git rebase --interactive HEAD~3",
    "TypeError: 'NoneType' object is not subscriptable",
    "curl -s https://example.org/v1/items?page=2 | jq '.[] | .id'",
    '{"user": {"id": 17, "tags": ["a", "b"]}, "ok": true}',
    "^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+$",
]
OTHERS = [
    "?",
    "!!!",
    "No.",
    "ok",
    "42",
    "a",
    "Yes",
    "lol",
    "...",
    "🙂",
    "I love it 😍😍😍",
    "Ça coûte combien, s'il vous plaît ?",
    "Wie spät ist es in München?",
    "¿Dónde está la biblioteca?",
    "今日はとても寒いです。",
    "我想退货",
    "Где находится ближайшая аптека?",
    "أين أقرب محطة قطار؟",
    "नमस्ते दुनिया",
    "\u039f καιρός είναι καλός σήμερα",
    "naïve café façade coöperate",
    "ALL CAPS ARE NOT SHOUTING",
    "wHaT iS tHiS",
    "supercalifragilisticexpialidocious",
    "x" * 150,
    "word " * 400,
    "tab\tseparated\tvalues\nand a second line",
    "E = mc² and ∑ᵢ xᵢ ≥ 0",
    "+1 (555) 010-9999",
    "2024-02-29T23:59:59Z",
]

# Sentences in a long text.
LENGTHS = [10, 12, 15, 18, 20, 25, 30, 40, 50, 60]


def varied_texts() -> list[str]:
    """More than 500 distinct texts, in a fixed order."""
    texts = [" ".join(parts) + "." for parts in itertools.product(PEOPLE, ACTIONS, PLACES)]
    texts += [question.format(thing) for question in QUESTIONS for thing in PRODUCTS]
    for statement, i in itertools.product(STATEMENTS, range(len(SUBJECTS))):
        texts.append(statement.format(SUBJECTS[i], SUBJECTS[i - 1]))
    pairs = itertools.combinations(texts[::3], 2)
    texts += [f"{first} {second}" for first, second in itertools.islice(pairs, 0, None, 7)]
    # The longest are far beyond what the model reads.
    texts += [" ".join(texts[start : start + count]) for start, count in enumerate(LENGTHS)]
    return list(dict.fromkeys(texts + CODE + OTHERS))
