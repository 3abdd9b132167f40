"""Names that look like a person's: they stop an ingest until the hospital says that they are none.

These are heuristics over the wording of names, and they miss much: a pseudonym that somebody can resolve, a name that
is no usual one, a number without a word before it. They are a last look at an export that was de-identified before, and
no proof that it was. What they find is private, and named to the hospital alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from datasites.sources.given_names import GIVEN_NAMES, NAME_IN_KOREAN, SURNAMES_IN_CHINESE
from policies.errors import IdentitySuspected

_DAY = r"(?:0[1-9]|[12]\d|3[01])"
_MONTH = r"(?:0[1-9]|1[0-2])"
_YEAR = r"(?:19|20)\d\d"
_DATE = re.compile(
    rf"(?<!\d)(?:{_YEAR}([-_./]?){_MONTH}\1{_DAY}|{_DAY}([-_./]?){_MONTH}\2{_YEAR}|{_YEAR}年\d\d?月\d\d?日)"
    r"(?!\d(?!\d{5}(?!\d)))"  # a time of day may follow
)
_DATE_OF_ONE_DIGIT = re.compile(rf"(?<![\d.])(?:\d\d?([/.])\d\d?\1{_YEAR}|{_YEAR}([-/.])\d\d?\2\d\d?)(?![\d.]?\d)")
_MONTH_NAMES = (
    "(?:jan(?:uary?)?|feb(?:ruary?)?|mar(?:ch)?|märz?|mrz|apr(?:il)?|may|mai|june?|juni|july?|juli|aug(?:ust)?|"
    "sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)"
)
_DATE_IN_WORDS = re.compile(
    rf"(?:(?<!\d)\d\d?[-_. ]{{0,2}}{_MONTH_NAMES}[-_. ]{{0,2}}"
    rf"|(?<![^\W\d_]){_MONTH_NAMES}[-_. ]{{1,2}}\d\d?[-_., ]{{1,2}}){_YEAR}(?!\d)",
    re.IGNORECASE,
)
_RECORD = re.compile(
    r"(?<![a-z])(?:mrn|pid|pat(?:ient)?(?:en)?(?:[-_ ]?(?:id|nr|no))?|case|fall(?:nr)?|akte|record|ssn|nhs|accession)"
    r"[-_ #:.]*\d{4,}"
    r"|(?<![\d.])[0-2](?:\.\d+){5,}(?!\d)"  # a DICOM identifier
    r"|(?<!\d)\d{17}[\dx](?!\d)"  # a Chinese identity number
    r"|(?<!\d)756\.\d{4}\.\d{4}\.\d\d(?!\d)"  # a Swiss one
    r"|(?<!\d)\d{3}-\d\d-\d{4}(?!\d)"  # one of the United States
    r"|(?<![a-z\d])[a-z]\d{9}(?!\d)"  # a German insurance number
    r"|(?:住院号|病历号|门诊号|身份证)\D?\d{3,}",
    re.IGNORECASE,
)
_WRITTEN_NAME = re.compile(
    r"[^\W\d_]{2,}\^[^\W\d_]{2,}"  # as DICOM writes it
    r"|^[A-ZÄÖÜ][^\W\d_]+, ?[A-ZÄÖÜ][^\W\d_]+(?=$|[^ \w]|_)"
)
_TITLED = re.compile(r"(?<![^\W_])(?:Frau|Herrn?|Mrs|Mme|Mlle|Prof|(?:Dr|Mr|Ms)\.)[-_. ]+[A-ZÄÖÜ][^\W\d_]+")
_NAME_AND_BIRTH = re.compile(rf"(?<![^\W\d_])([^\W\d_]{{2,}})[-_ ,]+([^\W\d_]{{2,}})[-_ ,.*]+{_YEAR}(?!\d)")
_WORDS = re.compile(r"[^\W\d_]+")
_HAN = re.compile(r"[\u4e00-\u9fff]{2,4}")
_HEADS = {
    "name": re.compile(
        r"^(?:patient(?:en)?s?[ _]?names?|(?:full|first|last|given|family|sur|middle|maiden|nach|vor)[ _]?names?|"
        r"names?|姓名|患者姓名|病人姓名|名字|nom|pr[eé]nom|nombre|apellidos?|nome(?:[ _]del[ _]paziente)?|cognome|"
        r"sobrenome|naam|voornaam|achternaam|imi[eę]|nazwisko|(?:hasta[ _])?(?:ad[ıi]|soyad[ıi]?)|"
        r"фио|фамилия|имя|отчество|прізвище|ім['’]?я|氏名|名前|患者名|이름|성명|환자명|الاسم|اسم المريض)$",
        re.IGNORECASE,
    ),
    "date": re.compile(
        r"^(?:date[ _]?of[ _]?birth|(?:patients?[ _]?)?birth[ _]?(?:date|day)|dob|geburts(?:datum|tag)|"
        r"geb(?:[ _]?datum)?|date[ _]de[ _]naissance|出生日期|出生年月|生日|fecha[ _]de[ _]nacimiento|"
        r"data[ _]d[ei][ _](?:nascita|nascimento)|geboortedatum|data[ _]urodzenia|do[gğ]um[ _]tarihi|"
        r"дата[ _](?:рождения|народження)|生年月日|생년월일|تاريخ الميلاد)$",
        re.IGNORECASE,
    ),
    "record_number": re.compile(
        r"^(?:mrn|pid|patient(?:en)?[ _]?(?:id|nr|no|number|nummer)|medical[ _]?record(?:[ _]?(?:no|number))?|"
        r"accession(?:[ _]?(?:no|number))?|fall[ _]?(?:nr|nummer)|(?:case|record)[ _]?(?:id|no|number)|ssn|"
        r"social[ _]?security(?:[ _]?number)?|insurance[ _]?(?:no|number)|versicherten[ _]?nummer|address|adresse|"
        r"phone|telefon|email|e-mail|住院号|病历号|门诊号|身份证号?|电话|地址|codice[ _]fiscale|cpf|bsn|pesel|"
        r"t\.?c\.?[ _]kimlik[ _]no|снилс|номер[ _](?:карты|истории болезни|полиса)|телефон|адрес|カルテ番号|患者番号|"
        r"電話|住所|주민등록번호|등록번호|환자번호|전화번호|주소|رقم الملف|رقم الهوية)$",
        re.IGNORECASE,
    ),
}
SAID = {"name": "names", "date": "dates", "record_number": "record numbers"}
_TUMOUR_STAGE = re.compile(r"y?pT[0-4][a-d]?")  # as pathologists write it
_STAINS = frozenset({"p16", "p40", "p53", "p57", "p63", "p120"})  # proteins that sections are stained for every day
_NUMBERED_PATIENT = re.compile(
    r"(?:p|pt|pat|patients?|patienten?|paciente?|paziente|subj?|subjects?|case|cas|caso|fall|person|proband|"
    r"患者|病人|病例|受试者|환자|пациент|больной|hasta)[-_ #.]*\d+",
    re.IGNORECASE,
)
_PATIENT_BESIDE = r"(?:p0\d+|(?:pat|patients?|patienten?|paciente?|paziente|subjects?|case|fall|患者|病人)[-_ #.]*\d+)"
_PATIENT_IN_A_CLASS = re.compile(rf".+[-_ ]{_PATIENT_BESIDE}|{_PATIENT_BESIDE}[-_ ].+", re.IGNORECASE)
_SHORT_DATE = re.compile(
    rf"(?<!\d)(?:\d\d{_MONTH}{_DAY}|{_DAY}{_MONTH}\d\d|(?:0?[1-9]|[12]\d|3[01])([-_./])(?:0?[1-9]|1[0-2])\1\d\d)(?!\d)"
)
_INITIALS = re.compile(r"[A-Z]\.(?:[-_ ]?[A-Z]\.){1,2}")
_NUMBER_ALONE = re.compile(r"\d{6,}")
_PSEUDONYM = re.compile(
    r"\{?[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\}?"  # a UUID
    r"|(?=[a-f]*\d)(?=\d*[a-f])[\da-f]{16,}",  # a digest, or its beginning
    re.IGNORECASE,
)
_TELEPHONE = re.compile(r"(?:\+|\(?0)(?:[-/() ]*\d){7,}")
_NAME_ALONE_IN_CHINESE = re.compile(r"[\u4e00-\u9fff]{2,3}")
_EAST_ASIAN = "\u2e80"  # from here on are writings that put no space between words
_SHOWN = 3
_LEAST_SHARE = 0.5  # of a column's values


@dataclass
class _Suspicion:
    """What one kind of place was found to hold."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


class NamesSeen:
    """Looks at names one after the other, and refuses at the end what looks like somebody's.

    Args:
        safe_kinds: What they may look like although it is none.
    """

    def __init__(self, safe_kinds: Collection[str] = ()) -> None:
        self._safe = frozenset(safe_kinds)
        self.suspicions: dict[tuple[str, str], _Suspicion] = {}

    def look(self, where: str, name: str) -> None:
        """Looks at one name.

        Args:
            where: What it is the name of, in the plural, such as `file names`.
            name: The name.
        """
        for kind in looks_like(name):
            if kind not in self._safe:
                self.suspect(where, kind, name)

    def look_at_classes(self, names: Collection[str], where: str) -> None:
        """Looks at the names that classes would have, each alone and all together.

        Args:
            names: Of the classes. If each is a word for a patient and a number, alone or beside a class's, a long
                number, a UUID, a digest or a telephone number, they are records'; if each holds a date of six digits,
                dates; if each is initials, or there are three or more and each may be a Chinese name, persons'. Stages
                of tumours, such as pT1 beside pT2, are none of these, and neither are stained proteins, such as p16
                beside p53; with p17 beside them, or written P16 or p016, they are patients as likely.
            where: What they are the names of, in the plural.
        """
        for name in sorted(names):
            self.look(where, name)
        if all(map(_TUMOUR_STAGE.fullmatch, names)) or _STAINS.issuperset(names):
            return
        for kind, least, may_be in (
            ("record_number", 2, _is_a_record),
            ("date", 2, _SHORT_DATE.search),
            ("name", 2, _INITIALS.fullmatch),
            ("name", 3, _may_be_a_chinese_name),
        ):
            if kind not in self._safe and len(names) >= least and all(map(may_be, names)):
                self.suspect(where, kind, min(names))

    def suspect(self, where: str, kind: str, example: str) -> None:
        """Notes something that looks like a `kind` of what would name a person."""
        suspicion = self.suspicions.setdefault((where, kind), _Suspicion())
        suspicion.count += 1
        if len(suspicion.examples) < _SHOWN and example not in suspicion.examples:
            suspicion.examples.append(example)

    def lines(self) -> Iterator[str]:
        """One line for each kind of place, for the hospital alone."""
        for (where, kind), found in self.suspicions.items():
            between = "; " if any("," in one for one in found.examples) else ", "  # "Muster, Anna" is one name
            yield f"{found.count} of the {where} look like {SAID[kind]}: {between.join(found.examples)}"

    def refuse(self, advice: str) -> None:
        """Refuses what was noted.

        Raises:
            IdentitySuspected: Something was. Which places and kinds is public, no name is.
        """
        if self.suspicions:
            said = "; ".join(f"{where} that look like {SAID[kind]}" for where, kind in self.suspicions)
            raise IdentitySuspected(
                f"Some names look like a person's: {said}. Take them out of the export. {advice}",
                private="\n".join(self.lines()),
            )


@lru_cache(maxsize=4096)
def looks_like(text: str) -> tuple[str, ...]:
    """Which of `name`, `date` and `record_number` a text looks like."""
    found = []
    if _is_a_name(text):
        found.append("name")
    if _DATE.search(text) or _DATE_OF_ONE_DIGIT.search(text) or _DATE_IN_WORDS.search(text):
        found.append("date")
    if _RECORD.search(text):
        found.append("record_number")
    return tuple(found)


def column_looks_like(head: str, values: Iterable[str]) -> tuple[str, ...]:
    """The same of a table's column: by its head, or by at least half of the values that are not empty."""
    by_head = [kind for kind, pattern in _HEADS.items() if pattern.match(head.strip())]
    if by_head:
        return tuple(by_head)
    filled = [value for value in values if value.strip()]
    each = [looks_like(value) for value in filled]
    least = _LEAST_SHARE * len(filled)
    return tuple(kind for kind in SAID if filled and sum(kind in one for one in each) >= least)


def _is_a_name(text: str) -> bool:
    text = unicodedata.normalize("NFC", text)
    if _TITLED.search(text):
        return True
    if _WRITTEN_NAME.search(text) or any(map(_are_names, _NAME_AND_BIRTH.findall(_without_marks(text)))):
        return True
    words = [word.casefold() for word in _WORDS.findall(text)]
    are_given = any(word in GIVEN_NAMES or _without_marks(word) in GIVEN_NAMES for word in words)
    if are_given and len([word for word in words if len(word) > 1]) > 1:
        return True
    if not words or not any(one.isdigit() for one in text):
        return False
    is_chinese = _HAN.fullmatch(words[0]) and words[0].startswith(SURNAMES_IN_CHINESE)
    return bool(is_chinese or NAME_IN_KOREAN.fullmatch(words[0]))


def _are_names(words: Iterable[str]) -> bool:
    """Whether each begins with a capital and has no other, or is of a writing with words and without capitals."""
    return all(word.istitle() or (word.lower() == word.upper() and max(word) < _EAST_ASIAN) for word in words)


def _is_a_record(name: str) -> bool:
    patterns = (_NUMBERED_PATIENT, _PATIENT_IN_A_CLASS, _NUMBER_ALONE, _PSEUDONYM, _TELEPHONE)
    return any(told.fullmatch(name) for told in patterns)


def is_a_numbered_patient(name: str) -> bool:
    """Whether a name is a word for a patient and a number."""
    return bool(_NUMBERED_PATIENT.fullmatch(name))


def _may_be_a_chinese_name(name: str) -> bool:
    return bool(_NAME_ALONE_IN_CHINESE.fullmatch(name)) and name.startswith(SURNAMES_IN_CHINESE)


def _without_marks(text: str) -> str:
    """Letters without the marks above or below them, and without signs of vowels, which are no letters to a pattern."""
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(one for one in apart if not unicodedata.category(one).startswith("M")))
