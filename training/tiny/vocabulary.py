"""Which words the model knows. Ids are given in a fixed order and only ever appended, so that longer lists keep older weights valid."""

import re

from . import captions
from .tokenizer import LETTERS, PAD, split_words


def concept_words(concepts: list[dict]) -> list[str]:
    return [w for c in concepts for name in c["names"] for w in split_words(name)]


def build_vocabulary(concepts: list[dict], known: dict[str, int] | None = None) -> dict[str, int]:
    """Word to id for everything that captions of these concepts can say. Ids of `known` are kept; 0 and 1 are padding and null."""
    vocabulary = dict(known or {})
    following = max([1, *vocabulary.values()]) + 1
    scene_words = [w for phrases in captions.SCENES.values() for p in phrases for w in re.findall("[a-z0-9]+", p)]
    words = ["<q>", "</q>", *(f"<c:{c}>" for c in LETTERS), *captions.COLOURS, *captions.MEANINGFUL, *captions.EYES, *scene_words, *concept_words(concepts)]
    for word in words:
        word = captions.SYNONYMS.get(word, word)
        if word not in vocabulary and word not in captions.SILENT:
            vocabulary[word] = following
            following += 1
    return vocabulary


def with_synonyms(vocabulary: dict[str, int]) -> dict[str, int]:
    """The vocabulary, the words that share an id with one of its words, and the silent words (with the id of padding)."""
    return vocabulary | dict.fromkeys(captions.SILENT, PAD) | {word: vocabulary[same] for word, same in captions.SYNONYMS.items() if same in vocabulary}
