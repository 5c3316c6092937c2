"""Languages by the codes that Whisper uses, and the English names of OpenAI's API. Pure."""

from __future__ import annotations

_TABLE = """
af afrikaans am amharic ar arabic as assamese az azerbaijani ba bashkir be belarusian bg bulgarian
bn bengali bo tibetan br breton bs bosnian ca catalan cs czech cy welsh da danish de german el greek
en english es spanish et estonian eu basque fa persian fi finnish fo faroese fr french gl galician
gu gujarati ha hausa haw hawaiian he hebrew hi hindi hr croatian ht haitian_creole hu hungarian
hy armenian id indonesian is icelandic it italian ja japanese jw javanese ka georgian kk kazakh
km khmer kn kannada ko korean la latin lb luxembourgish ln lingala lo lao lt lithuanian lv latvian
mg malagasy mi maori mk macedonian ml malayalam mn mongolian mr marathi ms malay mt maltese
my burmese ne nepali nl dutch nn norwegian_nynorsk no norwegian oc occitan pa punjabi pl polish
ps pashto pt portuguese ro romanian ru russian sa sanskrit sd sindhi si sinhala sk slovak
sl slovenian sn shona so somali sq albanian sr serbian su sundanese sv swedish sw swahili ta tamil
te telugu tg tajik th thai tk turkmen tl tagalog tr turkish tt tatar uk ukrainian ur urdu uz uzbek
vi vietnamese yi yiddish yo yoruba yue cantonese zh chinese
"""
_WORDS = _TABLE.split()
NAMES = {code: name.replace("_", " ") for code, name in zip(_WORDS[::2], _WORDS[1::2], strict=True)}
_CODES = {name: code for code, name in NAMES.items()} | {
    **{"mandarin": "zh", "castilian": "es", "flemish": "nl", "valencian": "ca", "farsi": "fa"},
    **{"jv": "jw", "nb": "no", "iw": "he", "in": "id", "fil": "tl"},
}


def language_name(code: str) -> str:
    """The name of a code, such as `english`; a code that is not known is its own name."""
    return NAMES.get(code, code)


def language_code(given: str) -> str | None:
    """What a client calls a language -> its code; None where that is no language known here.

    Codes, their regional forms (`en-US`, `pt_BR`) and English names are understood.
    """
    word = given.strip().lower().replace("_", "-")
    for name in (word, word.replace("-", " "), word.partition("-")[0]):
        if name in NAMES:
            return name
        if name in _CODES:
            return _CODES[name]
    return None
