"""Questions that no intent of CLINC150 covers, as further out-of-scope examples (``Intent: …`` answered ``oos``).

CLINC150 trains on 250 such rows against 15,000 in scope. Two more sources: the 817 questions of TruthfulQA
(``sources.truthful_questions``), and the patterns below, which are written here and synthetic.
"""

from __future__ import annotations

import random

from .example import Example, single

TOPICS = """the stock market|bitcoin|gold prices|the housing market|the election|the senate|the supreme court|climate change|the moon landing|black holes|dinosaurs|volcanoes|
earthquakes|the roman empire|world war two|the french revolution|ancient egypt|the civil war|greek mythology|photosynthesis|gravity|evolution|quantum physics|the human brain|
dna|vaccines|antibiotics|electric cars|solar panels|nuclear energy|the internet|robots|chess|baseball|soccer|tennis|the olympics|hockey|yoga|ballet|jazz history|painting|
poetry|shakespeare|opera|photography|gardening|beekeeping|fishing|sailing|hiking|knitting|pottery|woodworking|philosophy|economics|geometry|algebra|statistics|grammar""".replace("\n", "").split("|")
PEOPLE = """the president|the queen|einstein|mozart|picasso|lincoln|napoleon|cleopatra|the pope|elvis|beethoven|newton|darwin|a famous actor|the prime minister|the mayor|
the author of that book|the inventor of the telephone|the first astronaut|that singer""".replace("\n", "").split("|")
THINGS = """glass|paper|plastic|steel|soap|chocolate|cheese|wine|honey|silk|rubber|cement|ink|candles|perfume|concrete|bricks|vinegar|leather|glue|batteries|mirrors|crayons|
pencils|bubbles|rainbows|clouds|fog|tornadoes|tides|diamonds|pearls|fossils|icebergs""".replace("\n", "").split("|")
ANIMALS = """whales|bears|penguins|snakes|spiders|owls|dolphins|sharks|bats|elephants|giraffes|bees|ants|frogs|turtles|kangaroos|wolves|eagles|octopuses|butterflies|camels|tigers|
horses|rabbits|cats|dogs|parrots|lizards|crabs|worms""".replace("\n", "").split("|")
JOBS = """fix a leaking faucet|unclog a drain|train a puppy|paint a wall|build a deck|grow tomatoes|remove rust|clean an oven|sew a button|tie a tie|fold a napkin|plant a tree|
patch a tire|sharpen a knife|whiten my teeth|get rid of ants|stop hiccups|learn guitar|write a resume|start a business|build muscle|run faster|sleep better|quit smoking|
meditate|juggle|whistle|swim|ski|skate|draw a horse|carve a pumpkin|wrap a gift|iron a shirt|refinish a table|hang a shelf|file for divorce|sue someone|get a passport photo|
adopt a dog|sell my house|rent an apartment|find a roommate|become a nurse|become a pilot|write a novel|publish a book|edit a video|reset my router|install a printer|
delete my browser history|back up my computer|block a website|join a gym|lose weight|treat a burn|cure a headache|stop a nosebleed""".replace("\n", "").split("|")
PLACES = """france|japan|brazil|egypt|canada|australia|mexico|india|china|russia|italy|spain|greece|kenya|peru|texas|ohio|florida|alaska|iceland|norway|turkey|thailand|cuba""".split("|")
FACTS = """capital|population|highest mountain|longest river|national anthem|flag|official language|president|biggest city|area|main religion|climate|history|largest lake""".split("|")
TEAMS = """lakers|yankees|cowboys|celtics|bulls|patriots|giants|dodgers|warriors|packers|red sox|rangers""".split("|")
PATTERNS = (
    "what is the {fact} of {place}", "tell me the {fact} of {place}", "what's the {fact} of {place}", "who is {person}", "how old is {person}", "where was {person} born",
    "when did {person} die", "what did {person} do", "how tall is {person}", "is {person} married", "who taught {person}", "how is {thing} made", "what is {thing} made of", "who invented {thing}",
    "why does {thing} smell", "how do they make {thing}", "what causes {thing}", "where does {thing} come from", "how long do {animal} live", "what do {animal} eat",
    "how fast are {animal}", "where do {animal} sleep", "are {animal} dangerous", "how many {animal} are there in the world", "can {animal} swim", "do {animal} sleep in winter",
    "explain {topic} to me", "what is the history of {topic}", "tell me about {topic}", "why is {topic} important", "who is the best at {topic}", "find me a book about {topic}",
    "what is the latest news on {topic}", "give me a summary of {topic}", "how did {topic} start", "what do scientists say about {topic}", "is there a museum about {topic}",
    "how do i {job}", "what is the best way to {job}", "how can i {job}", "teach me to {job}", "how long does it take to {job}", "how much does it cost to {job}",
    "what do i need to {job}", "is it hard to {job}", "show me how to {job}", "who can help me {job}", "did the {team} win", "what was the score of the {team} game",
    "when do the {team} play next", "who coaches the {team}", "how many titles have the {team} won", "get me tickets to the {team} game", "who plays for the {team}",
    "what channel is the {team} game on", "how many people live in {place}", "what do people eat in {place}", "who runs {place}", "what are some good colleges in {place}",
    "what is the crime rate in {place}", "how big is {place}", "when was {place} founded", "what is the minimum wage in {place}", "is there a war in {place}",
    "write a poem about {topic}", "write me an essay on {topic}", "recommend a movie about {topic}", "who wrote the best book on {topic}", "give me a quote from {person}",
    "rate this book about {topic} five stars", "search for a movie about {topic}", "when is the new film about {person} out", "what is the square root of {topic}",
    "what are the rules of {topic}", "what equipment do i need for {topic}", "where can i take classes in {topic}",
)
FILLERS = {"topic": TOPICS, "person": PEOPLE, "thing": THINGS, "animal": ANIMALS, "job": JOBS, "place": PLACES, "fact": FACTS, "team": TEAMS}
OPENINGS = ("", "", "", "", "", "", "can you tell me ", "i want to know ", "please ", "hey ", "i wonder ", "do you know ")


def generate(random_: random.Random) -> Example:
    """One pattern, filled."""
    text = random_.choice(PATTERNS).format(**{name: random_.choice(values) for name, values in FILLERS.items()})
    return single("intent", 3, f"Intent: {random_.choice(OPENINGS)}{text}{random_.choice(('', '', '', '?'))}", "oos")
