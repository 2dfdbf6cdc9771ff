"""Prompt to token ids. The rules are part of the model's contract (see models/tiny/README.md): the product
implements the same steps, and config.json carries a golden example that both must reproduce."""

import json
import re
import unicodedata

PAD, NULL = 0, 1
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
MAX_LETTERS = 12

_QUOTES = str.maketrans({c: '"' for c in "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033"} | {"\u2019": "'", "\u2018": "'"})
_ANNOUNCED = re.compile(r"\b([Ww]ords?|[Tt]ext|[Ll]etters|[Ss]ays|[Ss]aying|[Rr]eads|[Rr]eading)\s+([A-Z0-9]{2,12})\b")
_QUOTED = re.compile(r'"([^"]*)"')
_WORD = re.compile(r"[a-z0-9]+")


def split_words(prompt: str) -> list[str]:
    """Words of a prompt, in order; a quoted word becomes <q> <c:F> <c:L> <c:U> <c:X> </q>."""
    text = unicodedata.normalize("NFKD", prompt.translate(_QUOTES))
    text = "".join(c for c in text if not unicodedata.category(c).startswith("M"))
    text = _ANNOUNCED.sub(r'\1 "\2"', text)
    words: list[str] = []
    for index, part in enumerate(_QUOTED.split(text)):
        if index % 2:
            letters = [c for c in part.upper() if c in LETTERS]
            if 1 <= len(letters) <= MAX_LETTERS:
                words += ["<q>", *(f"<c:{c}>" for c in letters), "</q>"]
                continue
        words += _WORD.findall(part.lower())
    return words


def look_up(word: str, vocabulary: dict[str, int]) -> int | None:
    """The id of a word, or of its singular; None when the model never learned it."""
    candidates = [word]
    if word.endswith("s"):
        candidates.append(word[:-1])
    if word.endswith("es"):
        candidates.append(word[:-2])
    if word.endswith("ies"):
        candidates.append(word[:-3] + "y")
    for candidate in candidates:
        if candidate in vocabulary:
            return vocabulary[candidate]
    return None


def encode(prompt: str, vocabulary: dict[str, int], window: int) -> list[int]:
    """Token ids without padding: unknown and silent words are left out, an empty result is the null caption."""
    ids = [i for i in (look_up(w, vocabulary) for w in split_words(prompt)) if i not in (None, PAD)]
    return ids[:window] or [NULL]


def load_vocabulary(path: str) -> dict[str, int]:
    with open(path, encoding="utf-8") as file:
        return json.load(file)
