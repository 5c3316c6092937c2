"""Written text to words, for a voice that has no front end of its own: "3.50 €" is to be heard.

Numbers, years, dates, times, money, units, abbreviations and signs of English and German are read
by normt2s; before it stand the few forms that it does not know or reads wrongly. Of the other
languages numbers are read by num2words2, with percent, degrees and money around them. What neither
knows stays as it is written, and so does a text at which one of them fails: a voice says it as well
as it can. The libraries are imported at the first use, with the voice that needs them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from realtime.symbol_words import DECIMAL_COMMA, SIGNS, UNSPACED

WHOLE = ("en", "de")
"""Languages of which all is read, not only numbers."""

LONG_DIGITS = 6
"""So many digits without a mark between them are a code, not a number, unless they end in 000."""

MOST_DIGITS = 15
"""A number of more than so many is said digit by digit."""

MOST_CHARS = 1_000
"""Longer text is read in parts."""

_SPACE = re.compile(r"\s+")
_PHONE = re.compile(r"(?<![\w.,/-])\+?\(?\d{1,4}\)?(?:[ .-]\(?\d{2,4}\)?){2,5}(?![\w/-]|[.,]\d)")
_GROUPED = re.compile(r"\d{1,3}(?:[ .]\d{3})+")
_DATE = re.compile(r"\d{4}[.-]\d{1,2}[.-]\d{1,2}|\d{1,2}[.-]\d{1,2}[.-]\d{2,4}")
_CODE = re.compile(rf"(?<![\w.,:/$€£¥-])\d{{{LONG_DIGITS},}}(?!\w|[.,:/]\d)")

Change = str | Callable[[re.Match[str]], str]


def worded(
    text: str, language: str | None, *, failed: Callable[[Exception], None] | None = None
) -> str:
    """`text` as it is to be said, in a two-letter language; None is English.

    Never raises: where the text cannot be read it comes back as it is, and `failed` is told why.
    """
    language = language or "en"
    if len(text) > MOST_CHARS:  # some rules take the square of the length
        return " ".join(worded(part, language, failed=failed) for part in _parts(text))
    try:
        if language in WHOLE:
            return _whole(_digits_apart(text), language)
        return _numbers(_digits_apart(text), language) if language in SIGNS else text
    except Exception as error:
        if failed:
            failed(error)
        return text


def _parts(text: str) -> Iterator[str]:
    """Of at most `MOST_CHARS`, parted at spaces where there are any."""
    start = 0
    while len(text) - start > MOST_CHARS:
        space = text.rfind(" ", start + 1, start + MOST_CHARS)
        end = space if space > 0 else start + MOST_CHARS
        yield text[start:end]
        start = end
    yield text[start:]


def _digits_apart(text: str) -> str:
    """Telephone numbers and codes are said digit by digit, a telephone number in its groups."""

    def phone(match: re.Match[str]) -> str:
        number = match.group()
        if _GROUPED.fullmatch(number) or _DATE.fullmatch(number):
            return number
        groups = re.findall(r"\d+", number)
        listed = max(map(len, groups)) < 3 and number[0] not in "+0("
        if sum(map(len, groups)) < 7 or listed:
            return number
        return ("+" if number[0] == "+" else "") + ", ".join(" ".join(g) for g in groups)

    def code(match: re.Match[str]) -> str:
        digits = match.group()
        number = digits.endswith("000") and len(digits) <= MOST_DIGITS
        return digits if number else " ".join(digits)

    return _CODE.sub(code, _PHONE.sub(phone, text))


# --- English and German -------------------------------------------------------------------------


def _whole(text: str, language: str) -> str:
    from normt2s import normalize

    for pattern, change in _BEFORE[language]:
        text = pattern.sub(change, text)
    text = str(normalize(text, lang=language))
    for pattern, change in _AFTER[language]:
        text = pattern.sub(change, text)
    return _SPACE.sub(" ", text).strip()


_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def _date(match: re.Match[str]) -> str:
    """12/25/2023 as an American writes it; 25/12/2023 can be read in one way only."""
    first, second, year = (int(number) for number in match.groups())
    month, day = (first, second) if first <= 12 else (second, first)
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match.group()
    return f"{_MONTHS[month - 1]} {day}, {year}"


def _rules(*rules: tuple[str, Change]) -> list[tuple[re.Pattern[str], Change]]:
    return [(re.compile(pattern), change) for pattern, change in rules]


def _address(at: str, dot: str) -> Change:
    return lambda m: m.group().replace("@", f" {at} ").replace(".", f" {dot} ")


_ADDRESS = (
    r"[\w.+-]+@\w[\w-]*(?:\.\w[\w-]*)+|\b(?:\w[\w-]*\.)+(?:com|org|net|edu|gov|io|ai|dev|de)\b"
)

_RANGE_FROM = r"(?<![\w.,-])([$€£]?\d[\d.,]*%?)"
_RANGE_TO = r"[$€£]?\d[\d.,]*(?![\d-])"

_BEFORE = {
    "en": _rules(
        (_ADDRESS, _address("at", "dot")),
        (r"(?<![\d/])(\d{1,2})/(\d{1,2})/(\d{4})(?![\d/])", _date),
        (r"\b[Nn]o\.\s?(?=\d)", "number "),
        (r"#\s?(?=\d)", "number "),
        (r"\bPh\.\s?D\b\.?", "P H D"),
        (r"\b([A-Z]\w+) St\.(?=\s+[a-z]|,|$)", r"\1 Street"),
        (r"\bSt\.\s+(?=[A-Z])", "Saint "),
        (r"(\d)\s?mph\b", r"\1 miles per hour"),
        (r"(\d)\s?ft\.?\s?(\d+)\s?in\b\.?", r"\1 feet \2 inches"),
        (r"(\d)'\s?(\d{1,2})(?:\"|''|”)", r"\1 feet \2 inches"),
        (r"(?<![\d.])\.(?=\d)", "0."),
        (r"₹\s?([\d,.]*\d)", r"\1 rupees"),
        (r"(?<=\d)x\b", " times"),
        (r"([$€£][\d.,]*\d)\s?[kK]\b", r"\1 thousand"),
        (r"(?<=\d)M\b", " million"),
        (r"(?<=\d)(?:bn|B)\b", " billion"),
        (rf"{_RANGE_FROM}\s?[–-]\s?(?={_RANGE_TO})", r"\1 to "),
        (r"(?<![\d:])(\d{1,2}):(\d)(?![\d:])", r"\1 to \2"),
        (r"(?i:\b(?:about|around)\s+)?[~≈]\s?(?=[$€£]?\d)", "about "),
        (r"\s?&\s?", " and "),
    ),
    "de": _rules(
        (_ADDRESS, _address("ät", "Punkt")),
        (r"#\s?(?=\d)", "Nummer "),
        (rf"{_RANGE_FROM}\s?[–-]\s?(?={_RANGE_TO})", r"\1 bis "),
        (r"(?<![\d:])(\d{1,2}):(\d)(?![\d:])", r"\1 zu \2"),
        (r"[~≈]\s?(?=\d)", "etwa "),
        (r"\s?&\s?", " und "),
    ),
}
_AFTER = {
    "en": _rules(
        (r"(?<=[a-z])/or\b", " or"),
        (r"(?<=[a-z])/(?=[a-z])", " or "),
        (r"(?<=\w)/(?=\w)", " "),
        (r"\s?@\s?", " at "),
        (r"\s?\+\s?", " plus "),
        (r"\s?=\s?", " equals "),
        (r"\s?%", " percent"),
        (r"\s?°", " degrees"),
        (r"[~#]", " "),
    ),
    "de": _rules(
        (r"\s?@\s?", " ät "),
        (r"\s?\+\s?", " plus "),
        (r"\s?=\s?", " gleich "),
        (r"\s?%", " Prozent"),
        (r"\s?°", " Grad"),
        (r"[~#]", " "),
    ),
}


# --- the other languages ------------------------------------------------------------------------

_ORDINAL = {
    "es": r"\.?[ºª]",
    "it": r"[ºª]",
    "pt": r"\.?[ºª]",
    "fr": r"(?:ers?|res?|es?|èmes?)\b",
    "nl": r"e\b",
    "sv": r":[ae]\b",
}
_NUMBER = r"(?<![\w.,])[-\u2212]?\d+(?:[.,\u00a0\u202f]\d+)*|\d+(?:[.,\u00a0\u202f]\d+)*"
_MONEY = re.compile(rf"(?:(R\$|[€$£])\s?({_NUMBER}))|(?:({_NUMBER})\s?([€$£]))")
_PERCENT = re.compile(rf"%\s?({_NUMBER})|({_NUMBER})\s?%")
_DEGREES = re.compile(rf"({_NUMBER})\s?°(?:\s?[CF]\b)?")
_CHINESE_YEAR = re.compile(r"\d{4}(?=年)")
_TIME = re.compile(r"(?<![\d:])(\d{1,2}):(\d{2})(?![\d:])")
_CLOCK = {"zh": r"\1点\2", "ja": r"\1時\2分", "ko": r"\1시 \2분"}
_SPACED = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d.])")
_ANY = re.compile(_NUMBER)


def _numbers(text: str, language: str) -> str:
    from num2words2 import num2words

    signs = SIGNS[language]
    gap = "" if language in UNSPACED else " "

    def say(number: Any, **how: str) -> str:
        return str(num2words(number, lang=language, **how))

    def number(written: str) -> str:
        value = _value(written, language)
        if value is None:
            return _ANY_DIGITS.sub(lambda m: say(int(m.group())), written)
        if value != int(value) and language == "ms":  # the library drops what follows the point
            after = gap.join(say(int(digit)) for digit in str(value).partition(".")[2])
            return f"{say(int(value))} perpuluhan {after}"
        return say(int(value)) if value == int(value) else say(value)

    def money(match: re.Match[str]) -> str:
        sign = match.group(1) or match.group(4)
        word = {"€": signs.euro, "$": signs.dollar, "£": signs.pound, "R$": "reais"}[sign]
        written = match.group(2) or match.group(3)
        value = _value(written, language)
        if value is None or -value.as_tuple().exponent != 2:  # type: ignore[operator]
            return f"{number(written)}{gap}{word}"
        cents = int(abs(value) * 100) % 100
        return gap.join((say(int(value)), word, *([say(cents)] if cents else [])))

    if language in DECIMAL_COMMA:
        text = _SPACED.sub(lambda m: m.group().replace(" ", ""), text)
    if language == "zh":
        text = _CHINESE_YEAR.sub(lambda m: "".join(say(int(digit)) for digit in m.group()), text)
    if ending := _ORDINAL.get(language):
        text = re.sub(
            rf"(?<![\d.,])(\d+){ending}", lambda m: say(int(m.group(1)), to="ordinal"), text
        )
    text = _TIME.sub(_CLOCK.get(language, r"\1 \2"), text)
    text = _MONEY.sub(money, text)
    text = _PERCENT.sub(lambda m: signs.percent.format(number(m.group(1) or m.group(2))), text)
    text = _DEGREES.sub(lambda m: signs.degrees.format(number(m.group(1))), text)
    text = _ANY.sub(lambda m: number(m.group()), text)
    return _SPACE.sub(" ", text.replace("&", f"{gap}{signs.and_}{gap}")).strip()


_ANY_DIGITS = re.compile(r"\d+")


def _value(written: str, language: str) -> Decimal | None:
    """What a number is worth; None where it is several, such as a date or a version."""
    bare = written.replace("\u00a0", "").replace("\u202f", "").replace("\u2212", "-")
    thousands, point = (".", ",") if language in DECIMAL_COMMA else (",", ".")
    if re.fullmatch(
        rf"-?\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+(?:{re.escape(point)}\d+)?", bare
    ):
        bare = bare.replace(thousands, "")
    if bare.count(",") + bare.count(".") > 1:
        return None
    return Decimal(bare.replace(",", "."))
