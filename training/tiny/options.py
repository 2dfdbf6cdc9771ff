"""Options that several scripts take, the same in all of them."""

import argparse


def split(text: str) -> list[str]:
    return text.split(",")


def split_numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, split(text)))


SHARED: dict[str, dict] = {
    "work": {"required": True, "help": "folder that everything is written to"},
    "modules": {"required": True, "help": "node_modules folder with the packages of package.json"},
    "run": {"default": "run1", "help": "folder of the checkpoints, in the work folder"},
    "sets": {"default": ["core"], "type": split, "help": "painted sets, with commas between them"},
    "stages": {"default": (1,), "type": split_numbers, "help": "stages of concepts.txt, with commas between them"},
    "threads": {"default": 2, "type": int},
}


def parser_with(*names: str) -> argparse.ArgumentParser:
    """A parser that knows these of the shared options."""
    parser = argparse.ArgumentParser()
    for name in names:
        parser.add_argument(f"--{name}", **SHARED[name])
    return parser
