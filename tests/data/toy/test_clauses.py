"""Whole sentences against what a speaker would say, written by hand."""

import pytest

from taskaware.data.toy import lexicon
from taskaware.data.toy.clauses import SHAPES, Clause, NounPhrase, realize


def phrase(words):
    """Read "three red houses" or a pronoun."""
    if words == "who":
        return lexicon.WHO
    for pronoun in lexicon.PRONOUNS:
        if pronoun.english == words:
            return pronoun
    *before, last = words.split()
    noun = next(noun for noun in lexicon.NOUNS if last in noun.english)
    adjective = None
    for found in lexicon.ADJECTIVES:
        if found.english in before and lexicon.fits(noun, found.kinds):
            before.remove(found.english)
            adjective = found
    determiner = {"these": "this", "an": "a"}.get(" ".join(before), " ".join(before))
    return NounPhrase(determiner, noun, adjective, last == noun.english[1])


def clause(subject, verb, object=None, adjunct=None, time=None, past=False, negative=False):
    return Clause(
        phrase(subject),
        next(v for v in lexicon.ACTIONS + lexicon.REPORTS if v.english[0] == verb),
        past,
        negative,
        phrase(object) if object else None,
        phrase(adjunct) if adjunct else None,
        next(t for t in lexicon.TIMES if t.english == time) if time else None,
    )


# Written by hand: the clauses, then what a speaker of each language would say.
WRITTEN = [
    (
        ("statement", clause("the teacher", "see", "three red houses")),
        "The teacher sees three red houses.",
        "Der Lehrer sieht drei rote Häuser.",
        "Profesorul vede trei case roșii.",
        "Öğretmen üç kırmızı ev görüyor.",
    ),
    (
        ("statement", clause("the woman", "find", "the key", "the kitchen", past=True)),
        "The woman found the key in the kitchen.",
        "Die Frau hat den Schlüssel in der Küche gefunden.",
        "Femeia a găsit cheia în bucătărie.",
        "Kadın mutfakta anahtarı buldu.",
    ),
    (
        ("statement", clause("an old farmer", "close", "a small window")),
        "An old farmer is closing a small window.",
        "Ein alter Bauer macht ein kleines Fenster zu.",
        "Un fermier bătrân închide o fereastră mică.",
        "Yaşlı bir çiftçi küçük bir pencere kapatıyor.",
    ),
    (
        ("statement", clause("I", "see", "my new car", past=True)),
        "I saw my new car.",
        "Ich habe mein neues Auto gesehen.",
        "Am văzut mașina mea nouă.",
        "Yeni arabamı gördüm.",
    ),
    (
        ("statement", clause("she", "carry", "the white letter")),
        "She is carrying the white letter.",
        "Sie trägt den weißen Brief.",
        "Ea cară scrisoarea albă.",
        "O beyaz mektubu taşıyor.",
    ),
    (
        ("statement", clause("they", "build", "these big tables")),
        "They are building these big tables.",
        "Sie bauen diese großen Tische.",
        "Ei construiesc aceste mese mari.",
        "Onlar bu büyük masaları yapıyorlar.",
    ),
    (
        ("statement", clause("the happy king", "dance", adjunct="a small cat", past=True)),
        "The happy king danced with a small cat.",
        "Der glückliche König hat mit einer kleinen Katze getanzt.",
        "Regele fericit a dansat cu o pisică mică.",
        "Mutlu kral küçük bir kediyle dans etti.",
    ),
    (
        ("statement", clause("my cat", "sleep", adjunct="the old garden")),
        "My cat is sleeping in the old garden.",
        "Meine Katze schläft im alten Garten.",
        "Pisica mea doarme în grădina veche.",
        "Kedim eski bahçede uyuyor.",
    ),
    (
        ("statement", clause("five farmers", "buy", "an apple", time="last year", past=True)),
        "Five farmers bought an apple last year.",
        "Fünf Bauern haben letztes Jahr einen Apfel gekauft.",
        "Cinci fermieri au cumpărat un măr anul trecut.",
        "Beş çiftçi geçen yıl bir elma satın aldı.",
    ),
    (
        ("statement", clause("the man", "wait", adjunct="my kitchen", past=True)),
        "The man waited in my kitchen.",
        "Der Mann hat in meiner Küche gewartet.",
        "Bărbatul a așteptat în bucătăria mea.",
        "Adam mutfağımda bekledi.",
    ),
    (
        ("negation", clause("the doctors", "forget", "these books", past=True, negative=True)),
        "The doctors did not forget these books.",
        "Die Ärzte haben diese Bücher nicht vergessen.",
        "Doctorii nu au uitat aceste cărți.",
        "Doktorlar bu kitapları unutmadı.",
    ),
    (
        ("negation", clause("the tired horse", "run", adjunct="the garden", negative=True)),
        "The tired horse is not running in the garden.",
        "Das müde Pferd läuft nicht im Garten.",
        "Calul obosit nu aleargă în grădină.",
        "Yorgun at bahçede koşmuyor.",
    ),
    (
        ("negation", clause("we", "close", "my green box", negative=True)),
        "We are not closing my green box.",
        "Wir machen meine grüne Kiste nicht zu.",
        "Nu închidem cutia mea verde.",
        "Yeşil kutumu kapatmıyoruz.",
    ),
    (
        ("negation", clause("they", "sell", "the chairs", past=True, negative=True)),
        "They did not sell the chairs.",
        "Sie haben die Stühle nicht verkauft.",
        "Ei nu au vândut scaunele.",
        "Onlar sandalyeleri satmadılar.",
    ),
    (
        ("inversion", clause("the teacher", "open", "the door", time="today")),
        "Today the teacher is opening the door.",
        "Heute öffnet der Lehrer die Tür.",
        "Azi profesorul deschide ușa.",
        "Bugün öğretmen kapıyı açıyor.",
    ),
    (
        ("inversion", clause("five horses", "sleep", None, "this city", "last week", past=True)),
        "Last week five horses slept in this city.",
        "Letzte Woche haben fünf Pferde in dieser Stadt geschlafen.",
        "Săptămâna trecută cinci cai au dormit în acest oraș.",
        "Geçen hafta beş at bu şehirde uyudu.",
    ),
    (
        ("inversion", clause("the men", "run", None, "ten children", "yesterday", past=True)),
        "Yesterday the men ran with ten children.",
        "Gestern sind die Männer mit zehn Kindern gelaufen.",
        "Ieri bărbații au alergat cu zece copii.",
        "Dün adamlar on çocukla koştu.",
    ),
    (
        ("question", clause("the queen", "sing", adjunct="the neighbor")),
        "Is the queen singing with the neighbor?",
        "Singt die Königin mit dem Nachbarn?",
        "Cântă regina cu vecinul?",
        "Kraliçe komşuyla şarkı söylüyor mu?",
    ),
    (
        ("question", clause("the old teacher", "buy", "seven white chairs", past=True)),
        "Did the old teacher buy seven white chairs?",
        "Hat der alte Lehrer sieben weiße Stühle gekauft?",
        "A cumpărat profesorul bătrân șapte scaune albe?",
        "Yaşlı öğretmen yedi beyaz sandalye satın aldı mı?",
    ),
    (
        ("question", clause("these men", "see", "a red apple")),
        "Do these men see a red apple?",
        "Sehen diese Männer einen roten Apfel?",
        "Văd acești bărbați un măr roșu?",
        "Bu adamlar kırmızı bir elma görüyor mu?",
    ),
    (
        ("what", clause("the farmer", "close", time="today")),
        "What is the farmer closing today?",
        "Was macht der Bauer heute zu?",
        "Ce închide fermierul azi?",
        "Çiftçi bugün ne kapatıyor?",
    ),
    (
        ("what", clause("three girls", "build", time="yesterday", past=True)),
        "What did three girls build yesterday?",
        "Was haben drei Mädchen gestern gebaut?",
        "Ce au construit trei fete ieri?",
        "Üç kız dün ne yaptı?",
    ),
    (
        ("who", clause("who", "open", "the black boxes", past=True)),
        "Who opened the black boxes?",
        "Wer hat die schwarzen Kisten geöffnet?",
        "Cine a deschis cutiile negre?",
        "Siyah kutuları kim açtı?",
    ),
    (
        ("who", clause("who", "laugh", adjunct="my tired dog")),
        "Who is laughing with my tired dog?",
        "Wer lacht mit meinem müden Hund?",
        "Cine râde cu câinele meu obosit?",
        "Yorgun köpeğimle kim gülüyor?",
    ),
    (
        ("who", clause("who", "wait", adjunct="a big city", past=True)),
        "Who waited in a big city?",
        "Wer hat in einer großen Stadt gewartet?",
        "Cine a așteptat într-un oraș mare?",
        "Büyük bir şehirde kim bekledi?",
    ),
    (
        ("where", clause("the happy neighbor", "work")),
        "Where is the happy neighbor working?",
        "Wo arbeitet der glückliche Nachbar?",
        "Unde muncește vecinul fericit?",
        "Mutlu komşu nerede çalışıyor?",
    ),
    (
        ("where", clause("my doctor", "forget", "the key", past=True)),
        "Where did my doctor forget the key?",
        "Wo hat mein Arzt den Schlüssel vergessen?",
        "Unde a uitat doctorul meu cheia?",
        "Doktorum anahtarı nerede unuttu?",
    ),
    (
        ("why", clause("the children", "sleep", negative=True)),
        "Why are the children not sleeping?",
        "Warum schlafen die Kinder nicht?",
        "De ce nu dorm copiii?",
        "Çocuklar neden uyumuyor?",
    ),
    (
        ("why", clause("this child", "sell", "the table")),
        "Why is this child selling the table?",
        "Warum verkauft dieses Kind den Tisch?",
        "De ce vinde acest copil masa?",
        "Bu çocuk neden masayı satıyor?",
    ),
    (
        ("how_many", clause("the queens", "buy", "how many red apples", past=True)),
        "How many red apples did the queens buy?",
        "Wie viele rote Äpfel haben die Königinnen gekauft?",
        "Câte mere roșii au cumpărat reginele?",
        "Kraliçeler kaç kırmızı elma satın aldı?",
    ),
    (
        ("how_many", clause("the man", "see", "how many dogs")),
        "How many dogs does the man see?",
        "Wie viele Hunde sieht der Mann?",
        "Câți câini vede bărbatul?",
        "Adam kaç köpek görüyor?",
    ),
    (
        (
            "because",
            clause("the old teacher", "see", "three red houses", negative=True),
            clause("the child", "sleep"),
        ),
        "The old teacher does not see three red houses because the child is sleeping.",
        "Der alte Lehrer sieht drei rote Häuser nicht, weil das Kind schläft.",
        "Profesorul bătrân nu vede trei case roșii, deoarece copilul doarme.",
        "Yaşlı öğretmen üç kırmızı ev görmüyor, çünkü çocuk uyuyor.",
    ),
    (
        ("because", clause("the farmers", "cry"), clause("the girl", "close", "the windows")),
        "The farmers are crying because the girl is closing the windows.",
        "Die Bauern weinen, weil das Mädchen die Fenster zumacht.",
        "Fermierii plâng, deoarece fata închide ferestrele.",
        "Çiftçiler ağlıyor, çünkü kız pencereleri kapatıyor.",
    ),
    (
        (
            "because",
            clause("she", "wait", past=True, negative=True),
            clause("the cats", "run", past=True),
        ),
        "She did not wait because the cats ran.",
        "Sie hat nicht gewartet, weil die Katzen gelaufen sind.",
        "Ea nu a așteptat, deoarece pisicile au alergat.",
        "O beklemedi, çünkü kediler koştu.",
    ),
    (
        ("that", clause("the doctor", "say"), clause("the child", "sleep", adjunct="the room")),
        "The doctor says that the child is sleeping in the room.",
        "Der Arzt sagt, dass das Kind im Zimmer schläft.",
        "Doctorul spune că copilul doarme în cameră.",
        "Doktor çocuğun odada uyuduğunu söylüyor.",
    ),
    (
        ("that", clause("my neighbors", "think", negative=True), clause("the king", "work")),
        "My neighbors do not think that the king is working.",
        "Meine Nachbarn denken nicht, dass der König arbeitet.",
        "Vecinii mei nu cred că regele muncește.",
        "Komşularım kralın çalıştığını düşünmüyor.",
    ),
    (
        (
            "that",
            clause("the girls", "hear", past=True),
            clause("my small dog", "sleep", past=True),
        ),
        "The girls heard that my small dog slept.",
        "Die Mädchen haben gehört, dass mein kleiner Hund geschlafen hat.",
        "Fetele au auzit că câinele meu mic a dormit.",
        "Kızlar küçük köpeğimin uyuduğunu duydu.",
    ),
    (
        (
            "when",
            clause("the teacher", "open", "the box", past=True),
            clause("the child", "laugh", past=True),
        ),
        "When the child laughed, the teacher opened the box.",
        "Als das Kind gelacht hat, hat der Lehrer die Kiste geöffnet.",
        "Când copilul a râs, profesorul a deschis cutia.",
        "Çocuk güldüğünde öğretmen kutuyu açtı.",
    ),
    (
        (
            "when",
            clause("the women", "dance", past=True),
            clause("the kings", "close", "ten boxes", past=True),
        ),
        "When the kings closed ten boxes, the women danced.",
        "Als die Könige zehn Kisten zugemacht haben, haben die Frauen getanzt.",
        "Când regii au închis zece cutii, femeile au dansat.",
        "Krallar on kutu kapattığında kadınlar dans etti.",
    ),
]


@pytest.mark.parametrize(("made", "english", "german", "romanian", "turkish"), WRITTEN)
def test_a_sentence_is_what_a_speaker_would_say(made, english, german, romanian, turkish):
    found = realize(*made)
    assert found[:5] == (english, german, romanian, turkish, made[0])


def test_every_shape_is_among_the_written_sentences():
    assert {made[0] for made, *_ in WRITTEN} == set(SHAPES)
