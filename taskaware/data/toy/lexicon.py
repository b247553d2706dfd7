"""The words of the embedded corpus in four languages, and how a single word is inflected."""

from typing import NamedTuple


class Noun(NamedTuple):
    """A noun; ``kind`` says which verbs and adjectives it goes with (see ``fits``)."""

    kind: str  # person, animal, portable, bulky or place
    english: tuple[str, ...]  # singular, plural
    german_gender: str  # m, f, n
    german: tuple[str, ...]  # nominative, other cases, plural
    romanian_gender: str  # m, f, n
    romanian: tuple[str, ...]  # singular, with article, plural, with article
    turkish: str


class Adjective(NamedTuple):
    """An adjective that stands before an English noun."""

    english: str
    german: str  # without ending
    romanian: tuple[str, ...]  # m singular, f singular, m plural, f and n plural
    turkish: str
    kinds: str


class Verb(NamedTuple):
    """A verb; without ``objects`` it is intransitive or takes a clause."""

    english: tuple[str, ...]  # base, present (-s or -ing), past
    german: tuple[str, ...]  # I, he, they, auxiliary, participle, separable prefix or ""
    romanian: tuple[str, ...]  # I, he, we, they, participle
    turkish: str
    subjects: str
    objects: str

    @property
    def progressive(self) -> bool:
        """Whether the English present is "is opening" rather than "sees"."""
        return self.english[1].endswith("ing")


class Pronoun(NamedTuple):
    """A subject without a noun; Turkish and Romanian omit it where the verb's ending shows it."""

    english: str
    german: str
    romanian: str
    turkish: str
    person: int  # 0 I, 1 he, 2 we, 3 they: the order of the verb forms


class Adverb(NamedTuple):
    """A time, which fits either the present or the past."""

    english: str
    german: str
    romanian: str
    turkish: str
    past: bool


def fits(noun: Noun, what: str) -> bool:
    """Return whether the noun's kind, or the noun itself, is among the words of ``what``."""
    return noun.kind in what.split() or noun.english[0] in what.split()


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in row.split("|")] for row in table.strip().splitlines()]


def _noun(kind: str, english: str, german: str, romanian: str, turkish: str) -> Noun:
    german_gender, *german_forms = german.split()
    romanian_gender, *romanian_forms = romanian.split()
    return Noun(
        kind,
        tuple(english.split()),
        german_gender,
        tuple(german_forms),
        romanian_gender,
        tuple(romanian_forms),
        turkish,
    )


def _verb(english: str, german: str, romanian: str, turkish: str, who: str, whom: str) -> Verb:
    german_forms = (*german.split(), "")[:6]  # no prefix: ""
    return Verb(tuple(english.split()), german_forms, tuple(romanian.split()), turkish, who, whom)


# No two English words here sound alike (hence no two, four, read or knew), so that the text can be
# told from the speech.
_NOUNS = """
person | teacher teachers | m Lehrer Lehrer Lehrer | m profesor profesorul profesori profesorii | öğretmen
person | child children | n Kind Kind Kinder | m copil copilul copii copiii | çocuk
person | woman women | f Frau Frau Frauen | f femeie femeia femei femeile | kadın
person | man men | m Mann Mann Männer | m bărbat bărbatul bărbați bărbații | adam
person | girl girls | n Mädchen Mädchen Mädchen | f fată fata fete fetele | kız
person | doctor doctors | m Arzt Arzt Ärzte | m doctor doctorul doctori doctorii | doktor
person | neighbor neighbors | m Nachbar Nachbarn Nachbarn | m vecin vecinul vecini vecinii | komşu
person | farmer farmers | m Bauer Bauern Bauern | m fermier fermierul fermieri fermierii | çiftçi
person | queen queens | f Königin Königin Königinnen | f regină regina regine reginele | kraliçe
person | king kings | m König König Könige | m rege regele regi regii | kral
animal | dog dogs | m Hund Hund Hunde | m câine câinele câini câinii | köpek
animal | cat cats | f Katze Katze Katzen | f pisică pisica pisici pisicile | kedi
animal | horse horses | n Pferd Pferd Pferde | m cal calul cai caii | at
portable | book books | n Buch Buch Bücher | f carte cartea cărți cărțile | kitap
portable | letter letters | m Brief Brief Briefe | f scrisoare scrisoarea scrisori scrisorile | mektup
portable | key keys | m Schlüssel Schlüssel Schlüssel | f cheie cheia chei cheile | anahtar
portable | chair chairs | m Stuhl Stuhl Stühle | n scaun scaunul scaune scaunele | sandalye
portable | apple apples | m Apfel Apfel Äpfel | n măr mărul mere merele | elma
portable | box boxes | f Kiste Kiste Kisten | f cutie cutia cutii cutiile | kutu
bulky | house houses | n Haus Haus Häuser | f casă casa case casele | ev
bulky | car cars | n Auto Auto Autos | f mașină mașina mașini mașinile | araba
bulky | window windows | n Fenster Fenster Fenster | f fereastră fereastra ferestre ferestrele | pencere
bulky | door doors | f Tür Tür Türen | f ușă ușa uși ușile | kapı
bulky | table tables | m Tisch Tisch Tische | f masă masa mese mesele | masa
place | garden gardens | m Garten Garten Gärten | f grădină grădina grădini grădinile | bahçe
place | kitchen kitchens | f Küche Küche Küchen | f bucătărie bucătăria bucătării bucătăriile | mutfak
place | city cities | f Stadt Stadt Städte | n oraș orașul orașe orașele | şehir
place | room rooms | n Zimmer Zimmer Zimmer | f cameră camera camere camerele | oda
"""  # noqa: E501
_ADJECTIVES = """
old | alt | bătrân bătrână bătrâni bătrâne | yaşlı | person animal
old | alt | vechi veche vechi vechi | eski | portable bulky place
tired | müd | obosit obosită obosiți obosite | yorgun | person animal
happy | glücklich | fericit fericită fericiți fericite | mutlu | person
small | klein | mic mică mici mici | küçük | animal portable bulky place
big | groß | mare mare mari mari | büyük | animal portable bulky place
new | neu | nou nouă noi noi | yeni | portable bulky place
red | rot | roșu roșie roșii roșii | kırmızı | portable bulky
green | grün | verde verde verzi verzi | yeşil | portable bulky
white | weiß | alb albă albi albe | beyaz | animal portable bulky
black | schwarz | negru neagră negri negre | siyah | animal portable bulky
"""
_ACTIONS = """
see sees saw | sehe sieht sehen hat gesehen | văd vede vedem văd văzut | gör | person | portable bulky
find finds found | finde findet finden hat gefunden | găsesc găsește găsim găsesc găsit | bul | person | portable
forget forgets forgot | vergesse vergisst vergessen hat vergessen | uit uită uităm uită uitat | unut | person | portable
buy buying bought | kaufe kauft kaufen hat gekauft | cumpăr cumpără cumpărăm cumpără cumpărat | satın al | person | portable bulky
sell selling sold | verkaufe verkauft verkaufen hat verkauft | vând vinde vindem vând vândut | sat | person | portable bulky
build building built | baue baut bauen hat gebaut | construiesc construiește construim construiesc construit | yap | person | bulky
carry carrying carried | trage trägt tragen hat getragen | car cară cărăm cară cărat | taşı | person | portable
open opening opened | öffne öffnet öffnen hat geöffnet | deschid deschide deschidem deschid deschis | aç | person | door window box book
close closing closed | mache macht machen hat zugemacht zu | închid închide închidem închid închis | kapat | person | door window box book
sleep sleeping slept | schlafe schläft schlafen hat geschlafen | dorm doarme dormim dorm dormit | uyu | person animal |
wait waiting waited | warte wartet warten hat gewartet | aștept așteaptă așteptăm așteaptă așteptat | bekle | person animal |
run running ran | laufe läuft laufen ist gelaufen | alerg aleargă alergăm aleargă alergat | koş | person animal |
work working worked | arbeite arbeitet arbeiten hat gearbeitet | muncesc muncește muncim muncesc muncit | çalış | person |
dance dancing danced | tanze tanzt tanzen hat getanzt | dansez dansează dansăm dansează dansat | dans et | person |
sing singing sang | singe singt singen hat gesungen | cânt cântă cântăm cântă cântat | şarkı söyle | person |
laugh laughing laughed | lache lacht lachen hat gelacht | râd râde râdem râd râs | gül | person |
cry crying cried | weine weint weinen hat geweint | plâng plânge plângem plâng plâns | ağla | person |
"""  # noqa: E501
_REPORTS = """
say says said | sage sagt sagen hat gesagt | spun spune spunem spun spus | söyle | person |
think thinks thought | denke denkt denken hat gedacht | cred crede credem cred crezut | düşün | person |
hear hears heard | höre hört hören hat gehört | aud aude auzim aud auzit | duy | person |
"""  # noqa: E501

NOUNS = tuple(_noun(*row) for row in _rows(_NOUNS))
ADJECTIVES = tuple(Adjective(e, g, tuple(r.split()), t, k) for e, g, r, t, k in _rows(_ADJECTIVES))
ACTIONS = tuple(_verb(*row) for row in _rows(_ACTIONS))
"""Verbs that take an object or nothing."""
REPORTS = tuple(_verb(*row) for row in _rows(_REPORTS))
"""Verbs that take a clause with "that"."""
PRONOUNS = (
    Pronoun("I", "ich", "", "", 0),
    Pronoun("he", "er", "el", "o", 1),
    Pronoun("she", "sie", "ea", "o", 1),
    Pronoun("we", "wir", "", "", 2),
    Pronoun("they", "sie", "ei", "onlar", 3),
)
WHO = Pronoun("who", "wer", "cine", "", 1)  # the Turkish clause has it elsewhere
TIMES = (
    Adverb("now", "jetzt", "acum", "şimdi", False),
    Adverb("today", "heute", "azi", "bugün", False),
    Adverb("yesterday", "gestern", "ieri", "dün", True),
    Adverb("last week", "letzte Woche", "săptămâna trecută", "geçen hafta", True),
    Adverb("last year", "letztes Jahr", "anul trecut", "geçen yıl", True),
)
NUMERALS = {
    "three": ("drei", "trei", "üç"),
    "five": ("fünf", "cinci", "beş"),
    "seven": ("sieben", "șapte", "yedi"),
    "ten": ("zehn", "zece", "on"),
}

_GERMAN_DETERMINERS = {
    "the": {"m": "der den dem", "f": "die die der", "n": "das das dem", "p": "die die den"},
    "this": {
        "m": "dieser diesen diesem",
        "f": "diese diese dieser",
        "n": "dieses dieses diesem",
        "p": "diese diese diesen",
    },
    "a": {"m": "ein einen einem", "f": "eine eine einer", "n": "ein ein einem"},
    "my": {
        "m": "mein meinen meinem",
        "f": "meine meine meiner",
        "n": "mein mein meinem",
        "p": "meine meine meinen",
    },
}


def german_determiner(determiner: str, gender: str, case: int) -> str:
    """Return the article for gender m, f, n or p (plural) in case 0 nom, 1 acc, 2 dat."""
    return _GERMAN_DETERMINERS[determiner][gender].split()[case]


def german_ending(determiner: str, gender: str, case: int) -> str:
    """Return what an adjective ends in after the determiner: weak, mixed or strong.

    Example:
        >>> german_ending("a", "m", 0), german_ending("the", "m", 0), german_ending("the", "m", 1)
        ('er', 'e', 'en')
    """
    articled = determiner in _GERMAN_DETERMINERS
    if case == 2 or (gender == "m" and case == 1) or (gender == "p" and articled):
        return "en"
    mixed = determiner in ("a", "my")
    return {"m": "er", "f": "e", "n": "es"}[gender] if mixed else "e"


def german_noun(noun: Noun, plural: bool, case: int) -> str:
    """Return the noun in its case; a dative plural ends in n unless it ends in n or s."""
    if not plural:
        return noun.german[min(case, 1)]
    form = noun.german[2]
    return form + "n" if case == 2 and form[-1] not in "ns" else form


_VOWELS = "aıoueiöü"
_HIGH = dict(zip(_VOWELS, "ııuuiiüü", strict=True))
# A stem that loses a vowel before a vowel, and a verb whose t is voiced there.
_BEFORE_VOWEL = {"şehir": "şehr", "dans et": "dans ed"}


def turkish_suffix(stem: str, suffix: str) -> str:
    """Return stem and suffix joined by vowel harmony, buffer letters and voicing.

    Args:
        stem: a word, which does not change.
        suffix: A stands for a or e; I for ı, i, u or ü; D for d or t; a bracketed consonant
            appears after vowels only, a bracketed vowel after consonants only.

    Example:
        >>> turkish_suffix("ev", "lAr"), turkish_suffix("araba", "(y)I"), turkish_suffix("aç", "DI")
        ('evler', 'arabayı', 'açtı')
    """
    if suffix[0] == "(":
        if (stem[-1] in _VOWELS) == (suffix[1] in "AI"):
            suffix = suffix[3:]
        suffix = suffix.replace("(", "").replace(")", "")
    word = stem
    for letter in suffix:
        last = next(before for before in reversed(word) if before in _VOWELS)
        if letter == "A":
            letter = "a" if last in "aıou" else "e"
        elif letter == "I":
            letter = _HIGH[last]
        elif letter == "D":
            letter = "t" if word[-1] in "fstkçşhp" else "d"
        word += letter
    return word


def turkish_noun(stem: str, *suffixes: str) -> str:
    """Return the noun with its suffixes; a final p, ç or k softens before a vowel.

    One-syllable words keep their consonant.

    Example:
        >>> turkish_noun("çocuk", "(y)A"), turkish_noun("at", "(y)I"), turkish_noun("ev", "lAr")
        ('çocuğa', 'atı', 'evler')
    """
    word = stem
    for suffix in suffixes:
        joined = turkish_suffix(word, suffix)
        if joined[len(word)] in _VOWELS:
            joined = turkish_suffix(_soften(word), suffix)
        word = joined
    return word


def _soften(word: str) -> str:
    syllables = sum(letter in _VOWELS for letter in word)
    soft = {"p": "b", "ç": "c", "k": "ğ"}
    if word in _BEFORE_VOWEL:
        return _BEFORE_VOWEL[word]
    return word[:-1] + soft[word[-1]] if syllables > 1 and word[-1] in soft else word


# By person: I, he, we, they. The present's ending follows "-Iyor", so its vowels are fixed by o.
_PRESENT, _PAST = ("um", "", "uz", "lar"), ("m", "", "k", "lAr")


def turkish_verb(stem: str, past: bool, negative: bool, person: int) -> str:
    """Return the present in -iyor or the past in -di.

    Example:
        >>> turkish_verb("gör", True, False, 1), turkish_verb("bekle", False, True, 0)
        ('gördü', 'beklemiyorum')
    """
    if past:
        return turkish_suffix(_negated(stem, negative), "DI" + _PAST[person])
    stem = _negated(stem, negative)
    # -Iyor swallows a final vowel, also that of the negation: bekle, bekliyor, beklemiyor.
    stem = stem[:-1] if stem[-1] in _VOWELS else _BEFORE_VOWEL.get(stem, stem)
    return turkish_suffix(stem, "Iyor" + _PRESENT[person])


def turkish_participle(stem: str, negative: bool, case: str) -> str:
    """Return the verb of a dependent clause, -diği and the case suffix: uyuduğunu."""
    return turkish_suffix(_negated(stem, negative), "DIğI" + case)


def _negated(stem: str, negative: bool) -> str:
    return turkish_suffix(stem, "mA") if negative else stem
