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
        ("statement", clause("she", "hide", "the white letter")),
        "She is hiding the white letter.",
        "Sie versteckt den weißen Brief.",
        "Ea ascunde scrisoarea albă.",
        "O beyaz mektubu saklıyor.",
    ),
    (
        ("statement", clause("they", "build", "these big tables")),
        "They are building these big tables.",
        "Sie bauen diese großen Tische.",
        "Ei construiesc aceste mese mari.",
        "Onlar bu büyük masaları yapıyorlar.",
    ),
    (
        ("statement", clause("the sad king", "dance", adjunct="a clever cow", past=True)),
        "The sad king danced with a clever cow.",
        "Der traurige König hat mit einer klugen Kuh getanzt.",
        "Regele trist a dansat cu o vacă deșteaptă.",
        "Üzgün kral akıllı bir inekle dans etti.",
    ),
    (
        ("statement", clause("my cow", "sleep", adjunct="the old village")),
        "My cow is sleeping in the old village.",
        "Meine Kuh schläft im alten Dorf.",
        "Vaca mea doarme în satul vechi.",
        "İneğim eski köyde uyuyor.",
    ),
    (
        ("statement", clause("five students", "buy", "an apple", time="last year", past=True)),
        "Five students bought an apple last year.",
        "Fünf Studenten haben letztes Jahr einen Apfel gekauft.",
        "Cinci studenți au cumpărat un măr anul trecut.",
        "Beş öğrenci geçen yıl bir elma satın aldı.",
    ),
    (
        ("statement", clause("the man", "wait", adjunct="my kitchen", past=True)),
        "The man waited in my kitchen.",
        "Der Mann hat in meiner Küche gewartet.",
        "Bărbatul a așteptat în bucătăria mea.",
        "Adam mutfağımda bekledi.",
    ),
    (
        ("negation", clause("the students", "forget", "these books", past=True, negative=True)),
        "The students did not forget these books.",
        "Die Studenten haben diese Bücher nicht vergessen.",
        "Studenții nu au uitat aceste cărți.",
        "Öğrenciler bu kitapları unutmadı.",
    ),
    (
        ("negation", clause("the hungry horse", "run", adjunct="the garden", negative=True)),
        "The hungry horse is not running in the garden.",
        "Das hungrige Pferd läuft nicht im Garten.",
        "Calul flămând nu aleargă în grădină.",
        "Aç at bahçede koşmuyor.",
    ),
    (
        ("negation", clause("we", "lift", "my green chair", negative=True)),
        "We are not lifting my green chair.",
        "Wir heben meinen grünen Stuhl nicht hoch.",
        "Nu ridicăm scaunul meu verde.",
        "Yeşil sandalyemi kaldırmıyoruz.",
    ),
    (
        ("negation", clause("they", "sell", "the boats", past=True, negative=True)),
        "They did not sell the boats.",
        "Sie haben die Boote nicht verkauft.",
        "Ei nu au vândut bărcile.",
        "Onlar tekneleri satmadılar.",
    ),
    (
        ("inversion", clause("the teacher", "open", "the door", time="today")),
        "Today the teacher is opening the door.",
        "Heute öffnet der Lehrer die Tür.",
        "Azi profesorul deschide ușa.",
        "Bugün öğretmen kapıyı açıyor.",
    ),
    (
        ("inversion", clause("five birds", "sleep", None, "this hospital", "last week", past=True)),
        "Last week five birds slept in this hospital.",
        "Letzte Woche haben fünf Vögel in diesem Krankenhaus geschlafen.",
        "Săptămâna trecută cinci păsări au dormit în acest spital.",
        "Geçen hafta beş kuş bu hastanede uyudu.",
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
        ("question", clause("the old teacher", "buy", "seven yellow flowers", past=True)),
        "Did the old teacher buy seven yellow flowers?",
        "Hat der alte Lehrer sieben gelbe Blumen gekauft?",
        "A cumpărat profesorul bătrân șapte flori galbene?",
        "Yaşlı öğretmen yedi sarı çiçek satın aldı mı?",
    ),
    (
        ("question", clause("these men", "see", "a beautiful picture")),
        "Do these men see a beautiful picture?",
        "Sehen diese Männer ein schönes Bild?",
        "Văd acești bărbați un tablou frumos?",
        "Bu adamlar güzel bir resim görüyor mu?",
    ),
    (
        ("what", clause("the baker", "bring", time="today")),
        "What is the baker bringing today?",
        "Was bringt der Bäcker heute mit?",
        "Ce aduce brutarul azi?",
        "Fırıncı bugün ne getiriyor?",
    ),
    (
        ("what", clause("three girls", "draw", time="yesterday", past=True)),
        "What did three girls draw yesterday?",
        "Was haben drei Mädchen gestern gezeichnet?",
        "Ce au desenat trei fete ieri?",
        "Üç kız dün ne çizdi?",
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
        ("where", clause("the happy baker", "work")),
        "Where is the happy baker working?",
        "Wo arbeitet der glückliche Bäcker?",
        "Unde muncește brutarul fericit?",
        "Mutlu fırıncı nerede çalışıyor?",
    ),
    (
        ("where", clause("my doctor", "forget", "the picture", past=True)),
        "Where did my doctor forget the picture?",
        "Wo hat mein Arzt das Bild vergessen?",
        "Unde a uitat doctorul meu tabloul?",
        "Doktorum resmi nerede unuttu?",
    ),
    (
        ("why", clause("the children", "sleep", negative=True)),
        "Why are the children not sleeping?",
        "Warum schlafen die Kinder nicht?",
        "De ce nu dorm copiii?",
        "Çocuklar neden uyumuyor?",
    ),
    (
        ("why", clause("this student", "paint", "the table")),
        "Why is this student painting the table?",
        "Warum malt dieser Student den Tisch an?",
        "De ce vopsește acest student masa?",
        "Bu öğrenci neden masayı boyuyor?",
    ),
    (
        ("how_many", clause("the queens", "buy", "how many white cups", past=True)),
        "How many white cups did the queens buy?",
        "Wie viele weiße Tassen haben die Königinnen gekauft?",
        "Câte cești albe au cumpărat reginele?",
        "Kraliçeler kaç beyaz fincan satın aldı?",
    ),
    (
        ("how_many", clause("the man", "carry", "how many shoes")),
        "How many shoes is the man carrying?",
        "Wie viele Schuhe trägt der Mann?",
        "Câți pantofi cară bărbatul?",
        "Adam kaç ayakkabı taşıyor?",
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
            clause("the teacher", "open", "the bottle", past=True),
            clause("the child", "laugh", past=True),
        ),
        "When the child laughed, the teacher opened the bottle.",
        "Als das Kind gelacht hat, hat der Lehrer die Flasche geöffnet.",
        "Când copilul a râs, profesorul a deschis sticla.",
        "Çocuk güldüğünde öğretmen şişeyi açtı.",
    ),
    (
        (
            "when",
            clause("the women", "dance", past=True),
            clause("the students", "bring", "ten apples", past=True),
        ),
        "When the students brought ten apples, the women danced.",
        "Als die Studenten zehn Äpfel mitgebracht haben, haben die Frauen getanzt.",
        "Când studenții au adus zece mere, femeile au dansat.",
        "Öğrenciler on elma getirdiğinde kadınlar dans etti.",
    ),
]


@pytest.mark.parametrize(("made", "english", "german", "romanian", "turkish"), WRITTEN)
def test_a_sentence_is_what_a_speaker_would_say(made, english, german, romanian, turkish):
    found = realize(*made)
    assert found == (english, german, romanian, turkish, made[0])


def test_every_shape_is_among_the_written_sentences():
    assert {made[0] for made, *_ in WRITTEN} == set(SHAPES)
