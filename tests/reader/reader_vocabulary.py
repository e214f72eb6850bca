"""The words of the reader model: one token each.

Every word of the generated texts is a whole token, spelled with sentencepiece's mark for a space
before it. The GGUF file carries them as a unigram vocabulary in which all words cost the same, so
a word in one piece always beats one in several, also where a word begins another ("ann", "anna").
"""

from typing import Dict, List

WOMEN = (
    "ada agnes alice amelia anna astrid beatrice bella bridget camilla carla cecilia celia clara "
    "daisy daphne diana dora edith elena elise emily emma erica esther eva fiona flora freya gina "
    "gloria grace greta hanna hazel helen ida ingrid irene iris ivy jane joan judith julia karen "
    "laura leah lena lily linda lucy lydia mabel maria martha maya mona nadia nora olga paula rosa "
    "ruth"
).split()
MEN = (
    "aaron abel adam albert anton arthur bernard boris bruno carl cedric conrad cyrus daniel david "
    "dennis edgar edwin elias emil eric ernest felix frank fred gilbert gordon gustav harold harry "
    "hector henry hugo igor isaac ivan jacob james jasper jerome joel john jonas joseph karl keith "
    "kevin lars leo leon louis lucas magnus marcus martin max moses nathan oliver oscar otto paul "
    "peter philip"
).split()
CITIES = (
    "athens baghdad bamako bangkok beijing beirut belgrade berlin bogota bombay bristol brussels "
    "budapest cairo calcutta caracas chicago cologne dakar damascus delhi dresden dublin florence "
    "geneva glasgow hamburg hanoi havana helsinki istanbul jakarta kabul karachi kiev lagos leeds "
    "lima lisbon london lyon madrid manila milan moscow munich nairobi naples oslo oxford paris "
    "prague quito riga rome seoul seville sofia tokyo tunis turin vienna warsaw zurich"
).split()
JOBS = (
    "actor archer architect artist astronomer baker banker barber bishop blacksmith botanist "
    "brewer builder butcher butler captain carpenter chemist clerk coach cobbler composer cook "
    "courier dancer dentist detective diver doctor editor engineer farmer ferryman fisherman "
    "florist forester gardener geologist glazier goldsmith guard historian hunter interpreter "
    "jeweller judge lawyer librarian mason mechanic merchant miller miner musician nurse painter "
    "pilot plumber poet potter sailor shepherd surgeon tailor"
).split()
ANIMALS = (
    "alpaca antelope badger bat bear beaver bison boar buffalo camel canary cat cheetah cobra crab "
    "crocodile crow deer dog dolphin donkey dove duck eagle elephant falcon ferret finch fox frog "
    "gazelle giraffe goat goose hamster hare hawk hedgehog hen heron horse hyena iguana jackal "
    "kitten leopard lion lizard llama lynx magpie monkey mouse otter owl panda parrot pigeon pony "
    "rabbit raven swan tiger wolf"
).split()
DISHES = (
    "apples apricots bacon bananas barley beans beef beets berries biscuits bread broth butter "
    "cabbage cake carrots celery cheese cherries chestnuts chicken chocolate corn cucumber custard "
    "dates dumplings eggs figs garlic ginger grapes ham honey jam leeks lemons lentils lettuce "
    "lobster mango melons mushrooms mutton noodles oats olives onions oranges pancakes pasta "
    "peaches pears peas pickles plums porridge potatoes pudding pumpkin rice salmon soup spinach"
).split()
KEYS = (
    "anchor anvil arrow axe banner barrel basin basket beacon bell bottle bowl bracelet bridge "
    "broom brush bucket button candle carpet chair chest clock coin comb compass cradle crown cup "
    "curtain dagger desk diamond door drum fan feather fence flag flute fork gate glove hammer "
    "harp hat helmet hook jar kettle key knife ladder lamp lantern lock mirror mug nail needle "
    "pillow plate ring rope"
).split()
NUMBERS = [str(number) for number in range(10, 74)]
VARIABLES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma "
    "tau upsilon phi chi psi omega aleph beth gimel daleth zayin teth yod lamed"
).split()

# Sentences without a fact.
FILLERS = (
    "the rain fell .",
    "the night was long .",
    "nothing else happened .",
    "far away dogs barked .",
    "the market closed early that day .",
)
PREFACE = "read this :"
PRONOUNS = (("she", "her"), ("he", "him"))  # Subject and object, by class of the name.

# An attribute: its name, its values, the words between subject and value.
ATTRIBUTES = (
    ("city", CITIES, "lived in"),
    ("job", JOBS, "worked as"),
    ("pet", ANIMALS, "owned a"),
    ("dish", DISHES, "asked for"),
)

SPECIAL = ["<unk>", "<s>", "</s>"]
UNKNOWN, BOS, EOS = 0, 1, 2


def _words() -> List[str]:
    words = PREFACE.split() + (
        ". ? question answer what is was the of set to value item holds in".split())
    for pair in PRONOUNS:
        words += pair
    for name, _, between in ATTRIBUTES:
        words += [name, *between.split()]
    for filler in FILLERS:
        words += filler.split()
    for group in (WOMEN, MEN, CITIES, JOBS, ANIMALS, DISHES, KEYS, NUMBERS, VARIABLES):
        words += group
    return list(dict.fromkeys(words))


WORDS = SPECIAL + _words()
ID: Dict[str, int] = {word: index for index, word in enumerate(WORDS)}


def encode(text: str) -> List[int]:
    return [ID[word] for word in text.split()]


def decode(ids) -> str:
    return " ".join(WORDS[int(index)] for index in ids)
