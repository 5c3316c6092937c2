"""How signs are said in each language, where the library knows numbers only. Pure data.

English and German are not here: their library reads signs itself. Words stand in the form that
follows a number greater than one; where a language bends them by the number, that is wrong for some
numbers and understood all the same.
"""

from __future__ import annotations

from typing import NamedTuple


class Signs(NamedTuple):
    """`percent` and `degrees` with `{}` for the number; the rest are words."""

    percent: str
    degrees: str
    and_: str
    euro: str
    dollar: str
    pound: str


SIGNS = {
    "ar": Signs("{} بالمئة", "{} درجة", "و", "يورو", "دولار", "جنيه إسترليني"),
    "da": Signs("{} procent", "{} grader", "og", "euro", "dollar", "pund"),
    "el": Signs("{} τοις εκατό", "{} βαθμοί", "και", "ευρώ", "δολάρια", "λίρες"),
    "es": Signs("{} por ciento", "{} grados", "y", "euros", "dólares", "libras"),
    "fi": Signs("{} prosenttia", "{} astetta", "ja", "euroa", "dollaria", "puntaa"),
    "fr": Signs("{} pour cent", "{} degrés", "et", "euros", "dollars", "livres"),
    "he": Signs("{} אחוז", "{} מעלות", "\u05d5", "אירו", "דולר", "לירות שטרלינג"),
    "hi": Signs("{} प्रतिशत", "{} डिग्री", "और", "यूरो", "डॉलर", "पाउंड"),
    "it": Signs("{} per cento", "{} gradi", "e", "euro", "dollari", "sterline"),
    "ja": Signs("{}パーセント", "{}度", "と", "ユーロ", "ドル", "ポンド"),
    "ko": Signs("{} 퍼센트", "{}도", "그리고", "유로", "달러", "파운드"),
    "ms": Signs("{} peratus", "{} darjah", "dan", "euro", "dolar", "paun"),
    "nl": Signs("{} procent", "{} graden", "en", "euro", "dollar", "pond"),
    "no": Signs("{} prosent", "{} grader", "og", "euro", "dollar", "pund"),
    "pl": Signs("{} procent", "{} stopni", "i", "euro", "dolarów", "funtów"),
    "pt": Signs("{} por cento", "{} graus", "e", "euros", "dólares", "libras"),
    "ru": Signs("{} процентов", "{} градусов", "и", "евро", "долларов", "фунтов"),
    "sv": Signs("{} procent", "{} grader", "och", "euro", "dollar", "pund"),
    "sw": Signs("asilimia {}", "digrii {}", "na", "euro", "dola", "pauni"),
    "tr": Signs("yüzde {}", "{} derece", "ve", "avro", "dolar", "sterlin"),
    "zh": Signs("百分之{}", "{}度", "和", "欧元", "美元", "英镑"),
}

DECIMAL_COMMA = frozenset(
    ("da", "de", "el", "es", "fi", "fr", "it", "nl", "no", "pl", "pt", "ru", "sv", "tr")
)
"""Languages that write 1.250,5; the others write 1,250.5."""

UNSPACED = frozenset(("ja", "zh"))
"""Written without spaces between words."""
