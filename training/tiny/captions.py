"""Scene specifications and the English that describes them.

A specification is a small dictionary; `draw.py` paints it and `caption` says it in one of many ways, so that one picture meets
many sentences. Words that carry no meaning for the picture are not in the vocabulary and never reach the network: a long prompt
in full sentences arrives as the same few words as a short one."""

import random
import zlib

COLOURS = {
    "red": (224, 36, 40), "orange": (246, 132, 24), "yellow": (250, 208, 36), "green": (52, 168, 72), "teal": (24, 160, 156),
    "blue": (42, 104, 220), "purple": (134, 62, 190), "pink": (246, 124, 180), "brown": (128, 82, 50), "black": (24, 24, 28),
    "white": (255, 255, 255), "gray": (140, 142, 148),
}
COLOUR_WORDS = {"gray": ["gray", "grey"], "purple": ["purple", "violet"], "teal": ["teal", "turquoise", "cyan"], "brown": ["brown"]}
PAINTS = ["red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "brown", "black", "gray"]
"""Colours an object can be repainted in."""

SCENES = {
    "night": ["at night", "under a starry sky", "at night under the stars", "in the night sky"],
    "space": ["in space", "in outer space", "floating in space", "in the galaxy"],
    "meadow": ["in a green meadow", "on the grass", "in a field", "on a lawn under a blue sky", "in the park"],
    "beach": ["on the beach", "and a beach", "at the beach", "by the sea", "on the sand by the ocean", "over the sea", "above the sea"],
    "desert": ["in the desert", "in a sandy desert", "among desert dunes", "over the desert"],
    "snow": ["in the snow", "and snow", "in winter", "in falling snow", "on a snowy day"],
    "underwater": ["underwater", "under water", "deep underwater with bubbles"],
    "sunset": ["at sunset", "and a sunset", "at dusk", "in front of a sunset", "at sunrise"],
    "sky": ["in the sky", "and clouds", "among the clouds", "in a blue sky with clouds", "in a cloudy sky", "above the clouds", "over the clouds", "flying in the sky", "flying above the clouds", "flying"],
    "mountains": ["in the mountains", "in front of snowy mountains", "with mountains behind", "and mountains behind", "over the mountains", "above the mountains", "on a mountain"],
    "sunset mountains": ["in the mountains at sunset", "at sunset in front of mountains", "with mountains at dusk"],
    "forest": ["in the forest", "and a forest behind", "in the woods", "in front of pine trees in a forest", "over the forest"],
    "city": ["in the city", "on a city street", "in town in front of buildings", "over the city", "above the city", "flying over the city"],
    "rain": ["in the rain", "on a rainy day", "in a rainy storm"],
}
SCENES_HELD = {
    "night": "beneath a night sky full of stars", "space": "drifting through outer space", "meadow": "out on a grassy meadow",
    "beach": "standing on a sandy beach by the sea", "desert": "lost in the hot desert", "snow": "surrounded by snow",
    "underwater": "swimming underwater", "sunset": "while there is a sunset", "sky": "high up in the sky above clouds",
    "mountains": "and behind it tall mountains", "sunset mountains": "and behind it mountains at sunset", "forest": "somewhere deep in a forest",
    "city": "in the middle of a city", "rain": "getting wet in the rain",
}
SCENE_ALONE = ["{s}", "a picture of a place {s}", "landscape {s}", "background {s}", "empty scene {s}"]

STYLES = {
    "3d": ["3d", "a 3d render of", "3d render", "a glossy 3d", "3d icon of", "a shiny 3d rendered"],
    "line": ["a line drawing of", "line art of", "a black and white line drawing of", "a sketch of", "an ink drawing of", "an outline drawing of", "a coloring page of", "a doodle of"],
    "flat": ["flat", "a flat icon of", "flat vector art of", "a simple flat drawing of", "clip art of", "vector illustration of"],
}
STYLES_HELD = {"3d": "rendered in 3d style:", "flat": "as flat vector clip art:", "line": "as a simple outline, ink on paper:"}
STYLES_AFTER = {"3d": "3d render", "flat": "flat style", "line": "line drawing"}
"""How the style is named at the end of a caption."""
NUMBERS = {2: ["two", "2", "a pair of"], 3: ["three", "3"], 4: ["four", "4"], 5: ["five", "5"]}

EYES = ["tiger", "cat", "wolf", "owl", "dragon", "human", "lion", "snake"]
EYE_COLOURS = ["blue", "green", "orange", "yellow", "purple", "red", "brown"]
WORDS = ("FLUX LOVE HELLO SUN STAR OPEN ART FUN YES NO HOME COOL WOW CAT DOG HI GO SALE CAFE PIZZA PLAY MOON BLUE NICE "
         "FIRE ICE SEA SKY KING QUEEN HAPPY PARTY MAGIC DREAM PEACE TIME WILD ZEN JAZZ LUCKY BIG TOP BEST NEW").split()
WORDS_HELD = ["LION", "GAME", "TEA", "ROSE", "BOX", "LIKE", "EXIT", "SNOW"]

LETTER_SHARES = [4] * 26 + [1] * 10
"""How often each letter and figure stands in a painted string of random ones."""

IRREGULAR = {"mouse": "mice", "man": "men", "woman": "women", "foot": "feet", "fish": "fish", "wolf": "wolves", "fries": "fries", "books": "books"}


def held_out(*parts: str) -> bool:
    """Combinations that the training never sees: one in twelve, fixed by name."""
    return zlib.crc32("|".join(parts).encode()) % 12 == 0


def plural(name: str) -> str:
    head, _, last = name.rpartition(" ")
    if last in IRREGULAR:
        last = IRREGULAR[last]
    elif last.endswith(("s", "x", "ch", "sh")):
        last += "es"
    elif last.endswith("y") and last[-2] not in "aeiou":
        last = last[:-1] + "ies"
    else:
        last += "s"
    return f"{head} {last}".strip()


def with_article(phrase: str) -> str:
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def colour_word(colour: str, r: random.Random) -> str:
    return r.choice(COLOUR_WORDS.get(colour, [colour]))


def caption(spec: dict, r: random.Random, held: bool = False) -> str:
    """One English sentence for a specification. `held` gives the phrasings that are kept for the evaluation."""
    kind = spec["kind"]
    if kind == "lettering":
        return f"{_word(spec['word'], r, held)} {_background(spec, r, held)}".strip()
    if kind == "eye":
        text = _eye(spec, r, held)
    elif kind == "scene":
        text = (r.choice(SCENE_ALONE) if not held else "an empty view, nothing else, {s}").format(s=_scene(spec["scene"], r, held))
    else:
        text = _objects(spec, r, held)
        style = spec["style"]
        where = _background(spec, r, held)
        named = held or style != "3d" or r.random() < 0.5
        lead = (STYLES_HELD[style] if held else r.choice(STYLES[style])) + " " if named else r.choice(["", "", "a picture of ", "an image of ", "illustration of ", "a photo of "])
        order = r.random()
        if held:
            text = f"I would like to see {text} {where}, please, {lead.strip(' :')}" if order < 0.5 else f"{lead}{text} {where}"
        elif named and order < 0.15:
            text = f"{text} {where}, {STYLES_AFTER[style]}"
        elif order < 0.25 and where:
            text = f"{where}, {lead}{text}"
        else:
            text = f"{lead}{text} {where}"
    if spec.get("word"):
        text += ", " + _word(spec["word"], r, held) if r.random() < 0.85 or held else ""
        if not text.endswith('"') and spec["word"]["text"] not in text:
            text = _word(spec["word"], r, held) + " over " + text
    return text.strip()


def _name(item: dict, r: random.Random) -> str:
    name = item["names"][0] if r.random() < 0.6 else r.choice(item["names"])
    if item.get("paint"):
        name = f"{colour_word(item['paint'], r)} {name}"
    return name


def _scene(name: str, r: random.Random, held: bool) -> str:
    return SCENES_HELD[name] if held else r.choice(SCENES[name])


def _background(spec: dict, r: random.Random, held: bool) -> str:
    if spec.get("scene"):
        return _scene(spec["scene"], r, held)
    colour = spec.get("back")
    if not colour:
        return ""
    word = colour_word(colour, r)
    if held:
        return f"and the whole background is {word}"
    return r.choice(["on a {} background", "with a {} background", "{} background", "in front of a {} wall", "against a plain {} background", "and a {} background", "and {} in the background", ", {} background", ", the background is {}", ", background: {}"]).format(word)


def _objects(spec: dict, r: random.Random, held: bool) -> str:
    kind, items = spec["kind"], spec["items"]
    if kind == "one":
        return with_article(_name(items[0], r))
    if kind == "count":
        return f"{r.choice(NUMBERS[spec['n']])} {plural(_name(items[0], r))}"
    if kind == "three":
        a, b, c = (with_article(_name(i, r)) for i in items)
        if held:
            return r.choice([f"{a} together with {b} and {c}", f"three things: {a}, then {b}, then {c}"])
        return r.choice([f"{a}, {b} and {c}", f"{a}, {b} and {c}", f"{a}, {b}, and {c}", f"{a} and {b} and {c}", f"{a} with {b} and {c}", f"{a} next to {b} and {c}"])
    a, b = (_name(i, r) for i in items)
    an, bn = with_article(a), with_article(b)
    if kind == "beside":  # a is left of b
        if held:
            return r.choice([f"{an} standing left of {bn}", f"{bn} sitting to the right of {an}"])
        return r.choice([f"{an} to the left of {bn}", f"{an} on the left and {bn} on the right", f"{bn} to the right of {an}", f"{an} and {bn}", f"{an} next to {bn}", f"{an} with {bn}", f"left {a} right {b}"])
    if kind == "above":
        if held:
            return r.choice([f"{an} placed above {bn}", f"{bn} lying below {an}"])
        return r.choice([f"{an} above {bn}", f"{bn} below {an}", f"{an} on top of {bn}", f"{an} over {bn}", f"{bn} under {an}"])
    return f"a big {a} and a small {b}" if r.random() < 0.5 else f"a small {b} and a big {a}"


def _eye(spec: dict, r: random.Random, held: bool) -> str:
    animal, colour = spec["animal"], spec.get("colour")
    what = f"{colour_word(colour, r) + ' ' if colour else ''}{animal} eye"
    if held:
        return f"a very detailed photograph showing only the eye of {with_article(animal)}" + (f", the iris is {colour}" if colour else "")
    lead = r.choice(["extreme close-up of a", "close-up of a", "macro photo of a", "extreme close-up of a single", "a", "detailed macro of a"])
    tail = r.choice(["", "", ", detailed iris and pupil", ", sharp focus on eye texture and color", ", direct frontal view", ". Detailed iris and pupil. Sharp focus on eye texture and color"])
    return f"{lead} {what}{tail}"


def _word(word: dict, r: random.Random, held: bool) -> str:
    text, colour, brush = word["text"], colour_word(word["colour"], r), word["brush"]
    if brush:
        if held:
            return f'someone painted "{text}" on it with a brush in {colour}'
        return r.choice([f'the word "{text}" is painted over it in big {colour} brush strokes', f'The word "{text}" is painted over it in big, {colour} brush strokes with visible texture', f'with "{text}" painted in {colour} brush strokes', f'"{text}" painted over it in {colour}'])
    if held:
        return f'with a sign that says "{text}" in {colour}'
    return r.choice([f'with the word "{text}" in {colour} letters', f'with the text "{text}" in {colour}', f'the word "{text}" in big {colour} letters', f'"{text}" written in {colour}'])


MEANINGFUL = """3d render rendered glossy shiny icon flat vector art simple drawing clip style two 2 pair three 3 four 4 five 5 and with on over above
below under top next left right big small behind front background wall extreme close up eye iris pupil macro detailed single focus
word text letters painted brush strokes written landscape empty place line sketch ink outline coloring page doodle""".split()
"""Words kept besides names, colours, and the words of the scenes."""

SILENT = set("""a an the of at in by to is it its are was were be been being am i you he she we they me my your his her our their this
that these those there here as for from into onto out off so very really just please would like want see show make draw create
picture image full day deep falling floating among whole standing sitting getting tall playing""".split())
"""Words that say nothing about the picture: they are left out, and nobody is told. Names of things may hold them (sitting person), but people
say them of everything, and a model that knows them draws that thing beside what was asked for."""

SYNONYMS = {
    "grey": "gray", "violet": "purple", "turquoise": "teal", "cyan": "teal", "golden": "yellow", "gold": "yellow", "crimson": "red", "scarlet": "red", "navy": "blue",
    "magenta": "pink", "lime": "green", "emerald": "green", "amber": "orange", "beige": "brown", "huge": "big", "large": "big", "giant": "big",
    "tiny": "small", "little": "small", "mini": "small", "beside": "next", "near": "next", "underneath": "under", "beneath": "under", "atop": "top",
    "closeup": "macro", "ocean": "sea", "seaside": "beach", "shore": "beach", "coast": "beach", "woods": "forest", "woodland": "forest", "jungle": "forest",
    "grassy": "grass", "grassland": "meadow", "field": "meadow", "park": "meadow", "lawn": "meadow", "garden": "meadow", "prairie": "meadow", "dunes": "desert", "sandy": "sand", "snowy": "snow", "snowing": "snow", "winter": "snow", "winterly": "snow", "icy": "snow",
    "cosmos": "space", "galaxy": "space", "universe": "space", "outer": "space", "starry": "stars", "nighttime": "night", "midnight": "night", "evening": "dusk", "sundown": "sunset", "twilight": "dusk", "dawn": "sunrise",
    "mountainous": "mountain", "alps": "mountain", "peak": "mountain", "town": "city", "street": "city", "urban": "city", "skyline": "city", "building": "city", "skyscraper": "city",
    "rainy": "rain", "raining": "rain", "storm": "rain", "cloudy": "cloud", "backdrop": "background", "says": "word", "saying": "word", "reads": "word", "lettering": "letters",
    "couple": "pair", "feline": "cat", "kitten": "cat", "kitty": "cat", "kittens": "cat", "puppy": "dog", "doggy": "dog", "pup": "dog", "hound": "dog", "bunny": "rabbit", "hare": "rabbit", "mice": "mouse", "wolves": "wolf", "piglet": "pig", "calf": "cow",
    "toad": "frog", "ape": "monkey", "hen": "chicken", "duckling": "duck", "tortoise": "turtle", "ladybird": "ladybug", "honeybee": "bee", "bumblebee": "bee", "trex": "dinosaur",
    "burger": "hamburger", "cheeseburger": "hamburger", "donut": "doughnut", "biscuit": "cookie", "icecream": "cream", "muffin": "cupcake", "automobile": "car", "vehicle": "car", "cab": "taxi", "bike": "bicycle",
    "spaceship": "rocket", "plane": "airplane", "aeroplane": "airplane", "aircraft": "airplane", "jet": "airplane", "yacht": "boat", "locomotive": "train", "cottage": "house", "home": "house", "fortress": "castle", "parasol": "umbrella", "flame": "fire",
    "gemstone": "diamond", "gem": "diamond", "jewel": "diamond", "lightbulb": "bulb", "toadstool": "mushroom", "gift": "present", "android": "robot", "martian": "alien", 
    "sketched": "sketch", "outlines": "outline", "outlined": "outline", "lineart": "line", "colouring": "coloring", "monochrome": "ink", "scribble": "doodle",
    "men": "man", "women": "woman", "people": "person", "feet": "foot", "male": "man", "guy": "man", "female": "woman", "lady": "woman", "child": "boy", "kid": "boy", "infant": "baby",
    "grape": "grapes", "ski": "skis", "curtain": "curtains", "soup": "stew", "kettle": "teapot", "microwave": "oven", "shelf": "bookshelf", "lake": "sea", "reindeer": "deer", "elk": "deer",
    "lamb": "sheep", "pigeon": "dove", "robin": "sparrow", "clam": "oyster", "wasp": "bee", "moth": "butterfly", "policemen": "policeman", "cop": "policeman", "physician": "doctor",
    "written": "letters", "text": "word", "rendered": "render", "shiny": "glossy",
}
"""Words that share the id of another word: they mean the same to the model."""
